"""What the planner remembers of a customer: budget, cool-downs, carts, all bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.agents.ledger import (
    ANSWERED_MAX,
    BUDGET_DAYS,
    CART_IDLE_S,
    CARTS_MAX,
    COOLING_MAX,
    Cart,
    Ledger,
    decode,
    encode,
)
from twin_store.messages.codec import SECONDS_PER_DAY


def test_a_ledger_survives_its_bytes() -> None:
    ledger = Ledger(
        {"asks": 3},
        100,
        1,
        50,
        True,
        "7",
        ["milk"],
        {19_000: 2},
        {-(2**63): 5},
        {"s": Cart(9, ["milk", "tea"])},
    )
    assert decode(encode(ledger)) == ledger
    assert decode(None) == Ledger()


def test_a_ledger_written_before_a_field_was_added_still_reads() -> None:
    assert decode(b"\x92\x81\xa4asks\x03\x64") == Ledger(offsets={"asks": 3}, as_of=100)


def test_records_count_once_a_source() -> None:
    ledger = Ledger()
    assert not ledger.includes("asks", 0)
    ledger.include("asks", 4)
    assert ledger.includes("asks", 4)
    assert ledger.includes("asks", 3)
    assert not ledger.includes("asks", 5)
    assert not ledger.includes("clicks", 4)


def test_questions_are_counted_by_day_of_the_event() -> None:
    ledger = Ledger()
    for second in (0, SECONDS_PER_DAY - 1, SECONDS_PER_DAY):
        ledger.spend(second)
    assert [ledger.spent_on(day * SECONDS_PER_DAY) for day in range(3)] == [2, 1, 0]


def test_the_days_least_lately_spent_on_are_forgotten() -> None:
    ledger = Ledger()
    for day in range(BUDGET_DAYS):
        ledger.spend(day * SECONDS_PER_DAY)
    ledger.spend(0)
    ledger.spend(BUDGET_DAYS * SECONDS_PER_DAY)
    assert ledger.spent_on(0) == 2
    assert ledger.spent_on(SECONDS_PER_DAY) == 0
    assert len(ledger.spent) == BUDGET_DAYS


def test_a_question_rests_until_its_time() -> None:
    ledger = Ledger()
    assert not ledger.is_cooling(1, 0)
    ledger.cool(1, 100)
    ledger.cool(1, 50)  # never shortened
    assert ledger.is_cooling(1, 99)
    assert not ledger.is_cooling(1, 100)


def test_what_has_rested_is_dropped_by_the_customers_own_clock() -> None:
    ledger = Ledger(as_of=100, cooling={1: 100, 2: 101})
    ledger.tidy()
    assert ledger.cooling == {2: 101}


def test_carts_left_standing_are_dropped_and_the_newest_kept() -> None:
    now = 10 * CART_IDLE_S
    carts = {f"s{i}": Cart(now - i, []) for i in range(CARTS_MAX + 2)}
    ledger = Ledger(as_of=now, carts=carts | {"old": Cart(now - CART_IDLE_S, [])})
    ledger.tidy()
    assert sorted(ledger.carts) == [f"s{i}" for i in range(CARTS_MAX)]


@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 10**9)), max_size=COOLING_MAX + 50)
)
def test_a_ledger_never_remembers_more_than_its_bound(cooled: list[tuple[int, int]]) -> None:
    ledger = Ledger()
    for question, until in cooled:
        ledger.cool(question, until)
        ledger.spend(until)
        ledger.answer(question)
    assert len(ledger.cooling) <= COOLING_MAX
    assert len(ledger.spent) <= BUDGET_DAYS
    assert len(ledger.answered) <= ANSWERED_MAX
    assert len(encode(ledger)) < 20_000
