"""Many options in few letters: groups that share one option, and one scale for all of them."""

import itertools
import math
from collections.abc import Sequence

from twin_store.prompts.answers import LETTERS

OPTIONS_MAX = len(LETTERS)
ANCHOR = 0  # the place of the option that every group has
_LEAST = 1e-12


def groups_of(count: int, most: int = OPTIONS_MAX) -> list[tuple[int, ...]]:
    """The places of `count` options in groups of at most `most`: one group, or several with the anchor in each.

    They are as even as can be: a model answers alike among as many.
    """
    if count <= most:
        return [tuple(range(count))]
    others = count - 1
    groups = math.ceil(others / (most - 1))
    ends = [1 + others * number // groups for number in range(groups + 1)]
    return [(ANCHOR, *range(start, end)) for start, end in itertools.pairwise(ends)]


def on_one_scale(groups: Sequence[Sequence[int]], said: Sequence[Sequence[float]]) -> list[float]:
    """Probabilities of all options, from those within each group.

    By Luce's choice axiom the odds of two options do not depend on what else there is, so an option's odds against the
    anchor, in whichever group it is, are its odds against the anchor among all.
    """
    if len(groups) == 1:
        return list(said[0])
    scores: dict[int, float] = {}
    for places, probabilities in zip(groups, said, strict=True):
        logs = {place: math.log(max(p, _LEAST)) for place, p in zip(places, probabilities, strict=True)}
        scores.update({place: log - logs[ANCHOR] for place, log in logs.items()})
    most = max(scores.values())
    powers = [math.exp(scores[place] - most) for place in range(len(scores))]
    total = sum(powers)
    return [power / total for power in powers]
