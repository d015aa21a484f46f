"""When a segment trips: two windows in a row beyond a threshold, then not again before it was calm or retrained.

A fold over the readings of one segment, oldest first: no state but theirs, so a restart comes to the same verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WINDOWS_IN_A_ROW = 2
COOL_DOWN_WINDOWS = 2
# The windows in which a version serves first are what it is held against: from so many options on, and up to so many.
REFERENCE_MIN, REFERENCE_MAX = 600, 2_000
PSI_MAX, PSI_CALM = 0.25, 0.1
Z_MAX, CALM_SHARE = 3.5, 0.5
GAP_MIN = 0.02  # however certain, so small a gap does no harm


@dataclass(frozen=True)
class Thresholds:
    """Of one segment."""

    psi_max: float = PSI_MAX
    performance_z: float = Z_MAX


@dataclass(frozen=True)
class Reading:
    """What the rule needs of a window; see `DriftReading`. `end` is epoch seconds.

    Attributes:
        gap, excess: mean and standard error, None where there were too few.
    """

    end: int
    version: str | None
    sizes: Mapping[str, float]
    options: int = 0
    gap: tuple[float, float] | None = None
    excess: tuple[float, float] | None = None
    beyond: Sequence[str] = ()
    calm: bool = True


def reference_of(readings: Sequence[Reading], version: str | None) -> Reading | None:
    """The first windows of a version taken together, those beyond left out; None while they are too few."""
    options, taken = 0, []
    for each in readings:
        if (
            each.version == version
            and each.gap
            and each.excess
            and not each.beyond
            and options < REFERENCE_MAX
        ):
            taken.append(each)
            options += each.options
    if options < REFERENCE_MIN or len(taken) < WINDOWS_IN_A_ROW:
        return None
    gap, excess = _pooled(taken, "gap"), _pooled(taken, "excess")
    return Reading(taken[-1].end, version, {}, options, gap, excess)


def judged(
    sizes: Mapping[str, float], gap_shift: float | None, thresholds: Thresholds
) -> tuple[list[str], bool]:
    """The sizes beyond their thresholds, the largest first, and whether all are calm.

    Args:
        sizes: `psi.FEATURE`, `gap_z`, `excess_z`.
        gap_shift: how far the mean residual is from the reference's, None without one.
    """
    shares = {name: size / thresholds.psi_max for name, size in sizes.items() if name.startswith("psi.")}
    calm_psi = all(sizes[name] <= min(PSI_CALM, thresholds.psi_max) for name in shares)
    z = {name: abs(sizes[name]) / thresholds.performance_z for name in ("gap_z", "excess_z") if name in sizes}
    calm_z = all(share <= CALM_SHARE for share in z.values())
    if gap_shift is not None and abs(gap_shift) < GAP_MIN:
        z.pop("gap_z", None)
    shares |= z
    beyond = sorted((name for name, share in shares.items() if share > 1), key=lambda n: (-shares[n], n))
    return beyond, calm_psi and calm_z


def trips(readings: Sequence[Reading]) -> bool:
    """Whether the last of these windows trips."""
    in_a_row = since_trip = 0
    is_armed, tripped, version = True, False, None
    for each in readings:
        if each.version is not None and each.version != version:
            version, is_armed, in_a_row = each.version, True, 0  # another version serves: it starts afresh
        since_trip += 1
        tripped = False
        if each.calm and since_trip > COOL_DOWN_WINDOWS:
            is_armed = True
        in_a_row = in_a_row + 1 if each.beyond else 0
        if in_a_row >= WINDOWS_IN_A_ROW and is_armed:
            tripped, is_armed, since_trip = True, False, 0
    return tripped


def _pooled(readings: Sequence[Reading], name: str) -> tuple[float, float]:
    parts = [(each.options, *getattr(each, name)) for each in readings]
    n = sum(part[0] for part in parts)
    mean = sum(part[0] * part[1] for part in parts) / n
    return mean, math.sqrt(sum((part[0] * part[2]) ** 2 for part in parts)) / n
