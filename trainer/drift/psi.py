"""The population stability index of two samples of one feature, in at most ten bins of about equal mass."""

from __future__ import annotations

import math
from collections.abc import Mapping

from trainer.drift.visits import NUMERIC, Visits

BINS = 10
SMOOTHING = 0.5  # added to every bin: an empty one must not weigh more than what is in the others
SAMPLES_MIN = 500


def psi(reference: Mapping[str, int], current: Mapping[str, int], is_ordered: bool) -> float:
    """The index, less what chance alone is expected to make of it in samples of these sizes; not below 0.

    Args:
        reference, current: counts by bin.
        is_ordered: whether the names of the bins are whole numbers in order.

    Raises:
        ValueError: a sample is empty.
    """
    total, now = sum(reference.values()), sum(current.values())
    if not total or not now:
        raise ValueError("a sample is empty")
    group = _grouped(reference, is_ordered, total)
    groups = max(group.values()) + 1
    before, after = [SMOOTHING] * groups, [SMOOTHING] * groups
    for counts, into in ((reference, before), (current, after)):
        for name, count in counts.items():
            into[_place(name, group, is_ordered)] += count
    whole_before, whole_after = sum(before), sum(after)
    found = sum(
        (b / whole_after - a / whole_before) * math.log((b / whole_after) / (a / whole_before))
        for a, b in zip(before, after, strict=True)
    )
    return max(0.0, found - (groups - 1) * (1 / total + 1 / now))


def stability(reference: Visits, current: Visits, samples_min: int = SAMPLES_MIN) -> dict[str, float]:
    """The index of every feature that both have; nothing where either has too few trips."""
    if min(reference.count, current.count) < samples_min:
        return {}
    return {
        name: round(psi(reference.bins[name], current.bins[name], name in NUMERIC), 4)
        for name in reference.bins
        if name in current.bins
    }


def _grouped(reference: Mapping[str, int], is_ordered: bool, total: int) -> dict[str, int]:
    """The group of each bin of the reference; of what is not ordered the last group has all the rare ones."""
    if not is_ordered:
        names = sorted(reference, key=lambda name: (-reference[name], name))
        return {name: min(place, BINS - 1) for place, name in enumerate(names)}
    group, found, mass, place = {}, 0, 0, 0
    for name in sorted(reference, key=int):
        if mass >= total * (place + 1) / BINS:
            place = min(BINS - 1, int(mass * BINS / total))
            found += 1
        group[name] = found
        mass += reference[name]
    return group


def _place(name: str, group: Mapping[str, int], is_ordered: bool) -> int:
    if name in group:
        return group[name]
    if not is_ordered:
        return max(group.values())
    nearest = min(group, key=lambda known: abs(int(known) - int(name)))
    return group[nearest]
