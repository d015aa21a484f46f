"""How far events have come: agreed on by several customers, and only when all of it was read."""

from __future__ import annotations

from streams.settler.event_time import EventTime


def test_one_wrong_clock_moves_nobody() -> None:
    time = EventTime()
    for customer, second in (("a", 100), ("b", 200), ("c", 300), ("d", 250)):
        time.see(customer, second)
    time.see("wrong", 9_999)
    time.advance(position=10, end=10)
    assert time.reached == 250


def test_the_same_customer_again_is_one_witness() -> None:
    time = EventTime()
    for second in (100, 200, 300):
        time.see("a", second)
    time.see("b", 50)
    time.see("c", 60)
    time.advance(position=1, end=1)
    assert time.reached == 50


def test_a_time_counts_when_all_that_was_committed_with_it_is_read() -> None:
    time = EventTime()
    time.see("a", 100)
    time.advance(position=5, end=40)
    time.see("a", 500)
    time.advance(position=39, end=80)
    assert time.reached == 0
    time.advance(position=40, end=80)
    assert time.reached == 100, "what was seen later counts from a later end"
    time.advance(position=80, end=90)
    assert time.reached == 500


def test_one_customer_does_not_speak_for_those_whose_records_come_next() -> None:
    time = EventTime()
    time.see("a", 900)
    time.advance(position=1, end=4)
    time.see("b", 300)
    time.see("c", 400)
    time.advance(position=4, end=4)
    assert time.reached == 300


def test_a_restart_remembers_the_witnesses() -> None:
    time = EventTime()
    for customer, second in (("a", 100), ("b", 200), ("c", 300)):
        time.see(customer, second)
    time.advance(position=1, end=1)
    again = EventTime()
    again.recall(time.note())
    again.advance(position=1, end=1)
    assert again.reached == 100
    again.see("c", 9_999)
    again.advance(position=2, end=2)
    assert again.reached == 100


def test_nothing_counts_before_an_end_was_heard() -> None:
    time = EventTime()
    time.see("a", 100)
    time.advance(position=5, end=-1001)
    assert time.reached == 0
    time.advance(position=5, end=5)
    assert time.reached == 100


def test_event_time_never_goes_back() -> None:
    time = EventTime(reached=400)
    time.see("a", 300)
    time.advance(position=1, end=1)
    assert time.reached == 400
