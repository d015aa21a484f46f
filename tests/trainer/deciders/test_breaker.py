"""The circuit breaker against a plain account of its rules, over made-up histories."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trainer.deciders.language.breaker import BreakerSettings, Call, CircuitBreaker, State
from trainer.deciders.language.model import ModelUnavailable

SETTINGS = BreakerSettings(window_s=10.0, calls_min=4, failure_share=0.5, open_s=5.0)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Histories(RuleBasedStateMachine):
    """Calls that begin and end in any order. The oracle keeps all outcomes and looks at them again each time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = CircuitBreaker(SETTINGS, self.clock)
        self.running: list[tuple[Call, int]] = []
        self.probe: Call | None = None
        self.outcomes: list[tuple[float, bool]] = []
        self.open_until: float | None = None
        self.epoch = 0

    @property
    def expected(self) -> State:
        if self.open_until is None:
            return State.CLOSED
        return State.OPEN if self.clock.now < self.open_until else State.HALF_OPEN

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.0, 4.9, 5.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def a_call_begins(self) -> None:
        refused = self.expected is State.OPEN or (self.expected is State.HALF_OPEN and self.probe is not None)
        if refused:
            with pytest.raises(ModelUnavailable):
                self.breaker.admit()
            return
        call = self.breaker.admit()
        self.running.append((call, self.epoch))
        if self.expected is State.HALF_OPEN:
            self.probe = call

    @precondition(lambda self: self.running)
    @rule(place=st.integers(0, 1_000), how=st.sampled_from([Call.succeeded, Call.failed, Call.withdrawn]))
    def a_call_ends(self, place: int, how: Callable[[Call], None]) -> None:
        call, epoch = self.running.pop(place % len(self.running))
        how(call)
        Call.failed(call)  # a second word counts for nothing
        if call is self.probe:
            self.probe = None
            if how is not Call.withdrawn:
                self.change(self.clock.now + SETTINGS.open_s if how is Call.failed else None)
        elif epoch == self.epoch and self.open_until is None and how is not Call.withdrawn:
            self.outcomes.append((self.clock.now, how is Call.failed))
            recent = [failed for at, failed in self.outcomes if at > self.clock.now - SETTINGS.window_s]
            if len(recent) >= SETTINGS.calls_min and sum(recent) * 2 >= len(recent):
                self.change(self.clock.now + SETTINGS.open_s)

    def change(self, open_until: float | None) -> None:
        self.open_until = open_until
        self.outcomes = []
        self.epoch += 1

    @invariant()
    def the_state_is_as_expected(self) -> None:
        assert self.breaker.state is self.expected


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


@given(st.lists(st.sampled_from([Call.succeeded, Call.withdrawn]), max_size=200))
def test_it_never_opens_without_failures(ends: list[Callable[[Call], None]]) -> None:
    breaker = CircuitBreaker(SETTINGS, Clock())
    for end in ends:
        end(breaker.admit())
    assert breaker.state is State.CLOSED
    assert breaker.opened == 0


def test_failures_that_are_long_past_do_not_count() -> None:
    clock = Clock()
    breaker = CircuitBreaker(SETTINGS, clock)
    for _ in range(20):
        breaker.admit().failed()
        clock.now += 4.0  # three within any window, one fewer than it takes
    assert breaker.state is State.CLOSED


def test_what_was_asked_before_it_opened_is_old_news_once_it_is_closed_again() -> None:
    clock = Clock()
    breaker = CircuitBreaker(SETTINGS, clock)
    slow = [breaker.admit() for _ in range(8)]
    for _ in range(4):
        breaker.admit().failed()
    clock.now += SETTINGS.open_s
    breaker.admit().succeeded()
    for call in slow:
        call.failed()
    assert breaker.state is State.CLOSED
    assert breaker.opened == 1


def test_one_probe_at_a_time_whose_place_is_free_again_when_it_is_taken_back() -> None:
    clock = Clock()
    breaker = CircuitBreaker(SETTINGS, clock)
    for _ in range(4):
        breaker.admit().failed()
    assert breaker.state is State.OPEN
    clock.now += SETTINGS.open_s
    probe = breaker.admit()
    with pytest.raises(ModelUnavailable, match="another question"):
        breaker.admit()
    probe.withdrawn()
    breaker.admit().succeeded()
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("wrong", [{"window_s": 0}, {"open_s": 0}, {"calls_min": 0}, {"failure_share": 1.5}])
def test_bounds_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a breaker needs"):
        BreakerSettings(**wrong)  # type: ignore[arg-type]
