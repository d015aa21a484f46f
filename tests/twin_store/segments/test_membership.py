"""Which segment a twin is in: hysteresis, no look ahead, the same in any order, and moves."""

import itertools
import random
from collections.abc import Callable, Iterable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.retail import at, sale, second, twin_of
from twin_store.about import about_of
from twin_store.catalogue import Catalogue
from twin_store.dna.twin import Twin, fold_about, merge
from twin_store.messages import Customer, Transaction
from twin_store.segments import Definitions, Move, load_definitions, moves, segment_of
from twin_store.segments.membership import NOWHERE, step
from twin_store.segments.numbers import (
    N_TENURE,
    N_TRIPS_MONTH,
    NUMBER_COLUMNS,
    PERIOD_DAYS,
    end_of,
    last_period,
)

DEFINITIONS = Definitions.from_toml("""
name = "test-1"
version = 1
window = 1
memory = 6
[fallback]
name = "new"
text = "New."
until_days = 28
[[segments]]
name = "families"
text = "Families."
life_stages = ["2 Adults Kids"]
[[segments.rules]]
number = "trips_month"
side = "above"
enter = 2.0
leave = 1.0
[[segments]]
name = "often"
text = "Often."
[[segments.rules]]
number = "trips_month"
side = "above"
enter = 6.0
leave = 4.0
[[segments]]
name = "rest"
text = "Rest."
""")
DAY = 86_400
FIRST = last_period(second(0)) + 1  # the first period that begins after day 0
START = (end_of(FIRST - 1) + 1 - second(0)) // DAY
PERSONAS = load_definitions()


def shopper(trips_a_period: Iterable[int], start: int = START) -> list[Transaction]:
    """Receipts of somebody who shops on so many days of each period."""
    return [
        sale(start + PERIOD_DAYS * period + day, ["milk"])
        for period, trips in enumerate(trips_a_period)
        for day in range(trips)
    ]


def segments_at_ends(twin: Twin, count: int, definitions: Definitions = DEFINITIONS) -> list[str]:
    return [segment_of(twin, end_of(FIRST + period), definitions) for period in range(count)]


# Hysteresis


def test_wobbling_about_a_threshold_moves_nobody() -> None:
    trips = [7, 7, 5, 6, 5, 4, 5, 6, 5, 5, 4, 6]
    segments = segments_of_history(trips)
    assert set(segments[1:]) == {"often"}
    below = [3, 5, 4, 3, 5, 4, 5, 3, 5, 4, 3, 5]
    assert set(segments_of_history(below)[1:]) == {"rest"}


def test_a_real_change_moves_once() -> None:
    assert changes(segments_of_history([2, 3, 2, 3, 8, 7, 9, 8, 5, 6, 5, 7])[1:]) == [("rest", "often")]
    assert changes(segments_of_history([8, 7, 9, 6, 2, 3, 2, 4, 5, 3, 2, 5])[1:]) == [("often", "rest")]


def test_who_never_comes_back_to_enter_is_let_go_after_the_memory() -> None:
    """The documented cost: hysteresis reaches back no further than `memory` ends."""
    segments = segments_of_history([7, 7, *[5] * 9])
    assert segments[1:7] == ["often"] * 6
    assert segments[7:] == ["rest"] * 4
    assert changes(segments_of_history([7, 7, 5, 5, 5, 5, 6, 5, 5, 5, 5, 6])[1:]) == []


def segments_of_history(trips: list[int]) -> list[str]:
    """By period, each told by a twin that knows no more than what was by then."""
    receipts = shopper(trips)
    return [
        segment_of(twin_of(until(receipts, end_of(FIRST + period))), end_of(FIRST + period), DEFINITIONS)
        for period in range(len(trips))
    ]


def until(receipts: Iterable[Transaction], moment: int) -> list[Transaction]:
    return [receipt for receipt in receipts if receipt.occurred_at.timestamp() <= moment]


def changes(segments: list[str]) -> list[tuple[str, str]]:
    return [(a, b) for a, b in itertools.pairwise(segments) if a != b]


def test_one_step_reads_thresholds_by_where_the_twin_is() -> None:
    is_open = np.array([True, False, True, True])
    numbers = np.full(NUMBER_COLUMNS, np.nan)
    numbers[N_TENURE] = 100.0

    def after(previous: int, trips: float) -> int:
        numbers[N_TRIPS_MONTH] = trips
        return int(step(previous, numbers, DEFINITIONS.rules, is_open))

    assert [after(NOWHERE, trips) for trips in (6.0, 5.99, np.nan)] == [2, 3, 3]
    assert [after(2, trips) for trips in (6.0, 4.0, 3.99, np.nan)] == [2, 2, 3, 3]
    assert [after(3, trips) for trips in (6.0, 5.99, 4.0)] == [2, 3, 3]
    numbers[N_TENURE] = 27.9
    assert after(2, 9.0) == 0


# As of a moment


HISTORY = st.lists(st.integers(0, 9), min_size=3, max_size=3)


@settings(deadline=None, max_examples=30)
@given(HISTORY, HISTORY, st.integers(0, PERIOD_DAYS - 1))
def test_what_comes_later_changes_nothing(before: list[int], later: list[int], day: int) -> None:
    moment = end_of(FIRST + 2) + day * DAY
    receipts = shopper(before + later)
    assert segment_of(twin_of(receipts), moment, DEFINITIONS) == segment_of(
        twin_of(until(receipts, moment)), moment, DEFINITIONS
    )


def test_nobody_moves_inside_a_period() -> None:
    receipts = shopper([2, 2, 9, 9])
    start = end_of(FIRST + 1)
    inside = [start, *(start + day * DAY for day in range(1, PERIOD_DAYS)), end_of(FIRST + 2) - 1]
    told = [segment_of(twin_of(until(receipts, moment)), moment, DEFINITIONS) for moment in inside]
    assert set(told) == {"rest"}
    assert segment_of(twin_of(receipts), end_of(FIRST + 2), DEFINITIONS) == "often"


def test_a_return_that_comes_after_the_period_moves_nobody_inside_the_next() -> None:
    receipts = shopper([2, 6])
    back = receipts[-1].model_dump() | {
        "kind": "return",
        "transaction_id": "back",
        "original_transaction_id": receipts[-1].transaction_id,
        "occurred_at": at(START + 2 * PERIOD_DAYS + 3),
    }
    moment = end_of(FIRST + 1) + 10 * DAY
    kept, returned = twin_of(receipts), twin_of([*receipts, Transaction.model_validate(back)])
    assert segment_of(kept, moment, DEFINITIONS) == segment_of(returned, moment, DEFINITIONS) == "often"


# Newcomers, life stages, the catalogue


def test_newcomers_are_those_with_little_history_and_never_again() -> None:
    assert segment_of(Twin(), second(100), DEFINITIONS) == "new"
    twin = twin_of(shopper([9, 9, 0, 0, 0, 0, 0, 0, 9], start=START + 1))
    assert segments_at_ends(twin, 3) == ["new", "often", "rest"]
    assert segment_of(twin, end_of(FIRST + 8), DEFINITIONS) == "often"


def about(twin: Twin, stage: str, day: float) -> Twin:
    customer = Customer(customer_id="c1", updated_at=at(day), demographics={"household_comp": stage})
    return fold_about(twin, *about_of(customer))


def test_a_life_stage_opens_its_segment_as_soon_as_it_is_known() -> None:
    twin = about(twin_of(shopper([3, 3, 3, 3])), "2 Adults Kids", day=START + 60)
    assert segment_of(twin, second(START + 60) - 1, DEFINITIONS) == "rest"
    assert segment_of(twin, second(START + 60), DEFINITIONS) == "families"
    again = about(twin, "2 Adults Kids", day=START + 70)
    assert segment_of(again, second(START + 70), DEFINITIONS) == "families"
    assert segment_of(about(again, "1 Adult", day=START + 75), second(START + 80), DEFINITIONS) == "rest"


def test_own_brands_need_the_catalogue() -> None:
    text = """
name = "own-1"
version = 1
window = 2
memory = 2
[fallback]
name = "new"
text = "New."
until_days = 1
[[segments]]
name = "own"
text = "Own brand."
[[segments.rules]]
number = "own_brand_share"
side = "above"
enter = 0.5
leave = 0.4
[[segments]]
name = "rest"
text = "Rest."
"""
    definitions = Definitions.from_toml(text)
    assert definitions.needs_catalogue
    frame = pl.DataFrame({"sku": ["milk"], "name": ["Milk"], "private_label": [True]})
    twin, moment = twin_of(shopper([3, 3])), end_of(FIRST + 1)
    assert segment_of(twin, moment, definitions, Catalogue.from_frame(frame)) == "own"
    assert segment_of(twin, moment, definitions, Catalogue()) == "rest"
    for reader in (
        lambda: segment_of(twin, moment, definitions),
        lambda: moves(twin, 0, moment, definitions),
    ):
        with pytest.raises(ValueError, match="own-1 reads own_brand_share, which needs the catalogue"):
            reader()


# Order, parts, moves


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 9), min_size=3, max_size=3), st.integers(0, 1_000))
def test_order_of_arrival_and_parts_change_nothing(trips: list[int], seed: int) -> None:
    receipts = shopper(trips)
    moment = end_of(FIRST + 2)
    whole = segment_of(twin_of(receipts), moment, DEFINITIONS)
    dealt = random.Random(seed)
    # Within the days that an event may be late by, in any order.
    mixed = sorted(receipts, key=lambda r: r.occurred_at.timestamp() + dealt.uniform(0, 12 * DAY))
    assert segment_of(twin_of(mixed), moment, DEFINITIONS) == whole
    halves: tuple[list[Transaction], list[Transaction]] = ([], [])
    for receipt in receipts:
        halves[dealt.randrange(2)].append(receipt)
    one, other = (twin_of(half) if half else Twin() for half in halves)
    assert segment_of(merge(one, other), moment, DEFINITIONS) == whole
    assert segment_of(merge(other, one), moment, DEFINITIONS) == whole


def test_moves_are_where_the_segment_changes() -> None:
    twin = twin_of(shopper([2, 2, 8, 8, 2, 2]))
    first, last = end_of(FIRST), end_of(FIRST + 5)
    found = moves(twin, first, last, DEFINITIONS)
    assert found == [
        Move(end_of(FIRST + 1), "new", "rest"),
        Move(end_of(FIRST + 2), "rest", "often"),
        Move(end_of(FIRST + 4), "often", "rest"),
    ]
    for move in found:
        assert segment_of(twin, move.second - 1, DEFINITIONS) == move.from_segment
        assert segment_of(twin, move.second, DEFINITIONS) == move.to_segment
    middle = end_of(FIRST + 2)
    assert moves(twin, first, middle, DEFINITIONS) + moves(twin, middle, last, DEFINITIONS) == found
    assert moves(twin, middle, middle + 5 * DAY, DEFINITIONS) == []


def test_news_of_the_same_life_stage_is_no_move() -> None:
    twin = about(twin_of(shopper([3, 3, 3])), "2 Adults Kids", day=START + 60)
    assert moves(twin, end_of(FIRST + 1), end_of(FIRST + 2), DEFINITIONS) == []


# What ships


def shoppers() -> dict[str, Callable[[int], list[Transaction]]]:
    """By segment, receipts of somebody who belongs there, day by day over half a year."""
    deal, coupon = {"sku": "soap", "discount": "0.50"}, {"sku": "tea", "coupon_discount": "0.50"}
    big = [f"item-{i}" for i in range(14)]
    return {
        "occasional": lambda day: [sale(day, ["milk", "bread"])] if day % 40 == 0 else [],
        "coupon-users": lambda day: [sale(day, ["milk", coupon])] if day % 7 == 0 else [],
        "deal-seekers": lambda day: (
            [sale(day, ["milk", deal, deal | {"sku": "rice"}])] if day % 7 == 0 else []
        ),
        "everyday-shoppers": lambda day: [sale(day, ["milk", "bread"])] if day % 2 == 0 else [],
        "stock-up-shoppers": lambda day: [sale(day, big)] if day % 9 == 0 else [],
        "regulars": lambda day: [sale(day, ["milk", "bread", "tea"])] if day % 7 == 0 else [],
    }


def test_everybody_is_where_one_would_look_for_her() -> None:
    assert PERSONAS.names == ("newcomers", *shoppers())
    for segment, trips in shoppers().items():
        twin = twin_of(receipt for day in range(230) for receipt in trips(day))
        assert segment_of(twin, second(20), PERSONAS) == "newcomers"
        assert segment_of(twin, second(229), PERSONAS) == segment


def test_a_twin_that_moved_on_for_three_months_reads_as_it_did() -> None:
    trips = shoppers()["deal-seekers"]
    receipts = [receipt for day in range(230) for receipt in trips(day)]
    moment = second(140)
    assert segment_of(twin_of(receipts), moment, PERSONAS) == "deal-seekers"
    assert segment_of(twin_of(until(receipts, moment)), moment, PERSONAS) == "deal-seekers"
