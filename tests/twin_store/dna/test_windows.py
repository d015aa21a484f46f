"""The laws at the edges of the windows: what expires, what is late, what a return may still reach."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin_store.dna.histories import (
    START_DAY,
    arrival,
    columns,
    fold,
    fold_in_batches,
    found,
    long_history,
)
from tests.twin_store.dna.oracle import Click, Event, Line, expected
from twin_store.dna.layout import (
    ACCEPTED,
    CELL_DAYS,
    CLICK_DAYS,
    DUPLICATE,
    EARLY_DAYS,
    H_RECEIPTS,
    H_RETURNED_LINES,
    LATE,
    LATE_DAYS,
    RECEIPT_DAYS,
    RETURN_DAYS,
    VIEW,
)
from twin_store.dna.twin import Twin, fold_receipts, merge, rewind
from twin_store.messages.codec import SECONDS_PER_DAY

MANY = settings(max_examples=200, deadline=None)
Happened = list[Event | Click]


def kinds(happened: Happened) -> tuple[list[Event], list[Click]]:
    return [e for e in happened if isinstance(e, Event)], [e for e in happened if isinstance(e, Click)]


def last_day(happened: Happened) -> int:
    return max(each.day for each in happened)


@MANY
@given(long_history(days=200), st.data())
def test_while_receipts_expire_every_order_that_is_not_late_gives_one_state(
    happened: Happened, data: st.DataObject
) -> None:
    arriving = data.draw(arrival(happened))
    live = fold_in_batches(arriving, data.draw(st.lists(st.integers(0, len(arriving)), max_size=10)))
    events, clicks = kinds(sorted(happened, key=lambda each: each.second))
    batch = fold(fold(Twin(), events), clicks)
    assert live.content_hash() == batch.content_hash()
    assert found(live) == expected(events, clicks)


@MANY
@given(long_history(days=1_200), st.data())
def test_cells_and_visits_expire_alike_in_every_order(happened: Happened, data: st.DataObject) -> None:
    arriving = data.draw(arrival(happened))
    live = fold_in_batches(arriving, data.draw(st.lists(st.integers(0, len(arriving)), max_size=10)))
    events, clicks = kinds(sorted(happened, key=lambda each: each.second))
    assert live.content_hash() == fold(fold(Twin(), clicks), events).content_hash()
    assert found(live) == expected(events, clicks).since(last_day(happened))


@MANY
@given(long_history(days=200), st.integers(0, (LATE_DAYS - 1) * SECONDS_PER_DAY))
def test_rewinding_within_the_days_of_lateness_is_exact_in_all_that_is_counted(
    happened: Happened, back: int
) -> None:
    events, clicks = kinds(sorted(happened, key=lambda each: each.second))
    now = fold(Twin(), [*events, *clicks])
    as_of = min(each.second for each in happened if each.day == last_day(happened)) - back
    before = [each for each in (*events, *clicks) if each.second <= as_of]
    then = rewind(now, as_of)
    assert found(then) == expected(*kinds(before))
    assert (then.last_second == 0) == (not before)


def sale(txn: int, day: int, units: int = 2000) -> Event:
    return Event(txn, "sale", second(day), 7, 0, (Line(11, (1, units, 250, 0, 0, 0, 0, 1)),))


def back(txn: int, day: int, original: int, kind: str = "return", units: int = 1000) -> Event:
    lines = (Line(11, (1, units, 0, 0, 0, 0, 0, 0)),) if kind == "return" else ()
    return Event(txn, kind, second(day), 7, original, lines)


def second(day: int) -> int:
    return (START_DAY + day) * SECONDS_PER_DAY + 43_200


@pytest.mark.parametrize(
    ("days", "reaches"),
    [(RETURN_DAYS, True), (RETURN_DAYS + 1, False), (-EARLY_DAYS, True), (-EARLY_DAYS - 1, False)],
)
def test_a_return_finds_its_sale_within_its_days(days: int, reaches: bool) -> None:
    twin = fold_in_batches(sorted([sale(1, 0), back(2, days, 1, units=2000)], key=lambda e: e.second), [1])
    assert twin.head[H_RETURNED_LINES] == reaches
    assert len(twin.cells) == (not reaches)


def test_what_was_returned_early_is_remembered_as_long_as_another_return_may_come() -> None:
    last = RETURN_DAYS + LATE_DAYS - 1
    twin = fold_in_batches(
        [back(2, -EARLY_DAYS, 1), sale(1, 0), sale(9, last), back(3, RETURN_DAYS, 1)], [1, 2, 3]
    )
    assert twin.head[H_RETURNED_LINES] == 1
    assert twin.cells[:, 1].tolist() == [START_DAY + last]


def test_a_sale_of_which_nothing_can_come_back_any_more_is_closed() -> None:
    twin = fold(Twin(), [sale(1, 0), sale(2, RECEIPT_DAYS)])
    assert twin.receipts[:, 0].tolist() == [2]
    assert twin.head[H_RECEIPTS] == 2
    assert len(twin.cells) == 2


def test_a_receipt_that_comes_again_is_a_duplicate_while_it_is_open_and_late_after() -> None:
    twin = fold(Twin(), [sale(1, 0), sale(2, RECEIPT_DAYS - 1)])
    assert fold_receipts(twin, *columns([sale(1, 0)]))[2].tolist() == [DUPLICATE]
    twin = fold(twin, [sale(3, RECEIPT_DAYS)])
    assert fold_receipts(twin, *columns([sale(1, 0)]))[2].tolist() == [LATE]


def test_of_two_receipts_with_one_id_the_first_counts() -> None:
    twin, _, verdicts = fold_receipts(Twin(), *columns([sale(1, 0), sale(1, 1, units=5000)]))
    assert verdicts.tolist() == [ACCEPTED, DUPLICATE]
    assert twin.cells.tolist() == fold(Twin(), [sale(1, 0)]).cells.tolist()


def test_of_two_receipts_with_one_id_in_two_parts_the_same_counts_whichever_is_merged_into_which() -> None:
    one, other = fold(Twin(), [sale(1, 0)]), fold(Twin(), [sale(1, 1, units=5000)])
    both = merge(one, other)
    assert both.content_hash() == merge(other, one).content_hash()
    assert both.head[H_RECEIPTS] == 1
    assert len(both.cells) == 1


def test_clicks_let_old_cells_and_visits_go_too() -> None:
    bought, looked = sale(1, 0), Click(5, second(CELL_DAYS + 3), 1, VIEW, 11)
    for order in ([bought, looked], [looked, bought]):
        twin = fold_in_batches(order, [1])
        assert twin.cells[:, 1].tolist() == [START_DAY + CELL_DAYS + 3]
        assert len(twin.visits) == 0
        assert twin.head[H_RECEIPTS] == 1


def test_rewinding_past_the_last_look_leaves_the_last_purchase() -> None:
    looked = Click(5, second(50), 1, VIEW, 11)
    twin = fold(Twin(), [sale(1, 0), looked])
    assert rewind(twin, second(49)).last_second == second(0)
    assert len(rewind(twin, second(49)).clicks) == 0
    assert CLICK_DAYS < 49


def test_rewinding_far_back_gives_back_only_what_is_still_open() -> None:
    closed, taken, newest = sale(1, 0), back(2, 60, 1, units=2000), sale(3, RECEIPT_DAYS + 10)
    twin = fold(Twin(), [closed, taken, newest])
    assert rewind(twin, second(59)).head[H_RETURNED_LINES] == 1, "the sale is closed: it stays taken back"
    still_open = fold(Twin(), [closed, taken, sale(3, RECEIPT_DAYS - 1)])
    assert rewind(still_open, second(59)).head[H_RETURNED_LINES] == 0


def test_numbers_beyond_all_bounds_take_back_a_share_of_the_right_size() -> None:
    absurd = Event(1, "sale", second(0), 7, 0, (Line(11, (1, 10**12, 10**13, 0, 0, 0, 0, 1)),))
    twin = fold(Twin(), [absurd, back(2, 1, 1, units=4 * 10**11)])
    assert twin.cells[0, 4] == 6 * 10**12
