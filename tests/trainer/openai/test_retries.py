"""When it is asked again: within bounds, spread over all of them, and no sooner than the server wants."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.deciders.openai.retries import RetrySettings, retry_after_s, wait_s

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SETTINGS = RetrySettings(first_s=0.1, longest_s=2.0)


@given(attempt=st.integers(0, 10_000), asked_for=st.none() | st.floats(0, 600), seed=st.integers())
def test_waits_are_bounded(attempt: int, asked_for: float | None, seed: int) -> None:
    wait = wait_s(SETTINGS, attempt, asked_for, Random(seed))
    assert (asked_for or 0) <= wait <= (asked_for or 0) + 2.0


def test_waits_are_spread_over_the_whole_range_and_grow() -> None:
    chance = Random(1)
    for attempt, longest in enumerate([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]):
        drawn = [wait_s(SETTINGS, attempt, None, chance) for _ in range(300)]
        assert min(drawn) < 0.05 * longest
        assert 0.95 * longest < max(drawn) <= longest


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 12:01:30 -0000", 90.0),
        ("-3", None),
        ("1e9", None),
        ("soon", None),
        ("9" * 5_000, None),
        ("²", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


@given(st.text(max_size=40))
def test_no_header_breaks_it(header: str) -> None:
    seconds = retry_after_s(header, NOW)
    assert seconds is None or seconds >= 0
