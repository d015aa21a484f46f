"""The laws of the twin, on short histories of receipts drawn at random: nothing is late, nothing expires."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin_store.dna.histories import columns, fold, found, history
from tests.twin_store.dna.oracle import Event, Line, expected
from twin_store.dna.binary import Delta, apply_delta, read_delta, read_twin, write_delta, write_twin
from twin_store.dna.layout import (
    C_MEASURE,
    CLICK_COLUMNS,
    H_MEASURE,
    H_RECEIPTS,
    H_RETURNED_LINES,
    MEASURES,
)
from twin_store.dna.rows import empty
from twin_store.dna.twin import Twin, fold_receipts, merge, rewind

MANY = settings(max_examples=300, deadline=None)


@MANY
@given(history())
def test_the_fold_is_what_the_oracle_says(events: list[Event]) -> None:
    assert found(fold(Twin(), events)) == expected(events)


@MANY
@given(history(), st.data())
def test_any_order_and_any_batches_give_the_same_state(events: list[Event], data: st.DataObject) -> None:
    whole = fold(Twin(), events)
    shuffled = data.draw(st.permutations(events))
    cut = data.draw(st.integers(0, len(events)))
    assert fold(fold(Twin(), shuffled[:cut]), shuffled[cut:]).content_hash() == whole.content_hash()


@MANY
@given(history(), st.data())
def test_an_event_that_comes_again_counts_once(events: list[Event], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(events), max_size=6))
    once = fold(Twin(), events)
    assert fold(once, again) is once
    assert fold(Twin(), [*events, *again]).content_hash() == once.content_hash()


@MANY
@given(history(), st.data())
def test_partial_twins_add_up(events: list[Event], data: st.DataObject) -> None:
    whole = fold(Twin(), events)
    side = data.draw(st.lists(st.integers(0, 2), min_size=len(events), max_size=len(events)))
    parts = [fold(Twin(), [e for e, s in zip(events, side, strict=True) if s == part]) for part in range(3)]
    a, b, c = parts
    assert merge(merge(a, b), c).content_hash() == whole.content_hash()
    assert merge(a, merge(b, c)).content_hash() == whole.content_hash()
    assert merge(c, merge(b, a)).content_hash() == whole.content_hash()
    assert merge(whole, a).content_hash() == whole.content_hash()
    assert merge(whole, Twin()).content_hash() == whole.content_hash()


@MANY
@given(history(), st.data())
def test_rewinding_is_never_having_folded_what_came_after(events: list[Event], data: st.DataObject) -> None:
    as_of = data.draw(st.sampled_from(events)).second
    before = fold(Twin(), [e for e in events if e.second <= as_of])
    assert rewind(fold(Twin(), events), as_of).content_hash() == before.content_hash()


@MANY
@given(history())
def test_a_void_takes_back_all_that_its_sale_put_in(events: list[Event]) -> None:
    voids = [Event(e.txn + 10_000, "void", e.second, e.visit, e.txn) for e in events if e.kind == "sale"]
    twin = fold(fold(Twin(), events), voids)
    assert len(twin.cells) == 0
    assert len(twin.visits) == 0
    assert not twin.head[H_MEASURE : H_MEASURE + MEASURES].any()
    assert twin.head[H_RECEIPTS] == 0


@MANY
@given(history(), st.integers(0, 5))
def test_bytes_give_the_same_twin(events: list[Event], cut: int) -> None:
    first = fold(Twin(), events[:cut])
    second, fresh, _ = fold_receipts(first, *columns(events[cut:]))
    delta = Delta(fresh, empty(CLICK_COLUMNS))
    restored = apply_delta(read_twin(write_twin(first, 3)), read_delta(write_delta(delta, 4)))
    assert restored.content_hash() == second.content_hash()


def sale(txn: int, day: int, sku: int = 11, units: int = 1000, net: int = 250) -> Event:
    return Event(txn, "sale", day * 86_400 + 36_000, 7, 0, (Line(sku, (1, units, net, 0, 0, 0, 0, 1)),))


def test_a_return_of_one_of_two_takes_half_and_of_both_takes_all() -> None:
    bought = fold(Twin(), [sale(1, 17_000, units=2000, net=501)])
    one_back = Line(11, (1, 1000, 0, 0, 0, 0, 0, 0))
    half = fold(bought, [Event(2, "return", 17_001 * 86_400, 7, 1, (one_back,))])
    assert half.cells[0, C_MEASURE : C_MEASURE + 3].tolist() == [1, 1000, 250]
    none = fold(half, [Event(3, "return", 17_002 * 86_400, 7, 1, (one_back,))])
    assert len(none.cells) == 0
    assert none.head[H_RETURNED_LINES] == 1


def test_an_event_is_late_by_the_newest_of_its_twin() -> None:
    twin = fold(Twin(), [sale(1, 17_100)])
    _, fresh, verdicts = fold_receipts(twin, *columns([sale(2, 17_086), sale(3, 17_087)]))
    assert verdicts.tolist() == [2, 0]
    assert fresh[:, 0].tolist() == [3]


@pytest.mark.parametrize("years", [1, 4])
def test_the_state_does_not_grow_with_history(years: int) -> None:
    rng = np.random.default_rng(5)
    twin = Twin()
    sizes = []
    for year in range(years):
        for day in range(364):
            events = [sale(int(rng.integers(2**40)), 17_000 + 364 * year + day, int(rng.integers(40)))]
            twin = fold(twin, events)
        sizes.append(twin.nbytes())
    twin_of_two_years = sizes[min(1, years - 1)]
    assert sizes[-1] <= 1.02 * twin_of_two_years
