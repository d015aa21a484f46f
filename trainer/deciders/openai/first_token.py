"""Probabilities of options from the few most likely first tokens that a server tells. Pure.

An option that is not listed has at most the probability of the least likely one that is, and the options that are not
listed have together at most what the listed tokens leave. Half of that is taken, so the truth is off by the other half
at most: `doubt` says how far a probability may be from the truth.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.deciders.language.readout import Scored


@dataclass(frozen=True, slots=True)
class Weighed:
    """`scored.joint_mass` is what was seen: the options' true mass is that or more. `doubt` is how far any of the
    probabilities may be from the truth, 0 if every option was listed.
    """

    scored: Scored
    doubt: float


def weigh(top: Mapping[str, float], options: Sequence[Sequence[str]]) -> Weighed:
    """The probabilities of options among themselves, each in any of its spellings.

    Args:
        top: natural logarithms by token: the most likely ones, so that every other is less likely than each of them.
    """
    listed = {token: math.exp(logprob) for token, logprob in top.items()}
    seen = [sum(listed.get(spelling, 0.0) for spelling in spellings) for spellings in options]
    missing = [sum(spelling not in listed for spelling in spellings) for spellings in options]
    left = max(0.0, 1.0 - sum(listed.values()))
    most = [min(left, count * min(listed.values(), default=1.0)) for count in missing]
    if not any(seen):
        return Weighed(Scored((1 / len(options),) * len(options), 0.0), 1.0 - 1 / len(options))
    share = min(1.0, left / sum(most)) if any(most) else 0.0
    masses = [mass + share * unseen / 2 for mass, unseen in zip(seen, most, strict=True)]
    total = sum(masses)
    probabilities = tuple(mass / total for mass in masses)
    return Weighed(Scored(probabilities, min(1.0, sum(seen))), _doubt(seen, most, left, probabilities))


def _doubt(
    seen: Sequence[float], most: Sequence[float], left: float, probabilities: Sequence[float]
) -> float:
    """The greatest distance to what each probability is when all that is unseen is its own, or the others'."""
    furthest = 0.0
    total = sum(seen)
    for place, (mass, unseen) in enumerate(zip(seen, most, strict=True)):
        others = min(left, sum(most) - unseen)
        highest = (mass + unseen) / (total + unseen)
        lowest = mass / (total + others)
        furthest = max(furthest, highest - probabilities[place], probabilities[place] - lowest)
    return furthest
