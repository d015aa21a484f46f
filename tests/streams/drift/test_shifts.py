"""Noise hardly ever trips, and what really changed does within two windows: a small form, and the long one."""

from __future__ import annotations

import pytest

from benchmarks.drift_weeks import SHIFTS, Shift, watched

WEEKS = 10
SHIFTED_FROM = 6
RUNS = 200
LATE_SHARE = 0.02  # 2 of 200 where a price doubled, whose size differs from run to run; none of the others


def noisy_share(seeds: range) -> float:
    """The share of windows that trip where nothing has changed."""
    return sum(len(watched(seed, WEEKS)) for seed in seeds) / (len(seeds) * WEEKS)


def test_noise_does_not_trip() -> None:
    assert noisy_share(range(3)) == 0


@pytest.mark.parametrize("shift", SHIFTS.values(), ids=SHIFTS)
def test_a_shift_trips_within_two_windows_and_once(shift: Shift) -> None:
    tripped = watched(1, WEEKS + 4, shift, SHIFTED_FROM)
    assert tripped == [SHIFTED_FROM + 1]


def test_answers_that_are_wrong_trip_within_two_windows() -> None:
    assert watched(1, WEEKS, shifted_from=SHIFTED_FROM, factor=0.4) == [SHIFTED_FROM + 1]


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_less_than_one_percent_of_noisy_windows_trip() -> None:
    assert noisy_share(range(RUNS)) < 0.01


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("shift", SHIFTS.values(), ids=SHIFTS)
def test_nearly_every_run_of_a_shift_trips_within_two_windows(shift: Shift) -> None:
    soon = {SHIFTED_FROM, SHIFTED_FROM + 1}
    late = [
        seed for seed in range(RUNS) if not soon & set(watched(seed, SHIFTED_FROM + 2, shift, SHIFTED_FROM))
    ]
    assert len(late) <= LATE_SHARE * RUNS, late
