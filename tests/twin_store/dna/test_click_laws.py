"""The laws of the twin, for clicks: the funnel, the sessions, what was looked at."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin_store.dna.histories import (
    START_DAY,
    arrival,
    click_table,
    clicks,
    fold,
    fold_in_batches,
    found,
)
from tests.twin_store.dna.oracle import Click, expected
from twin_store.dna.binary import Delta, apply_delta, read_delta, read_twin, write_delta, write_twin
from twin_store.dna.layout import (
    ACCEPTED,
    ADD_TO_CART,
    CLICK_DAYS,
    DUPLICATE,
    H_FUNNEL,
    H_SESSIONS,
    LATE,
    LATE_DAYS,
    RECEIPT_COLUMNS,
    REMOVE_FROM_CART,
    SESSION_DAYS,
    VIEW,
)
from twin_store.dna.rows import empty
from twin_store.dna.twin import Twin, fold_clicks, merge, rewind
from twin_store.messages.codec import SECONDS_PER_DAY

MANY = settings(max_examples=200, deadline=None)


@MANY
@given(clicks(), st.data())
def test_any_order_and_any_batches_give_what_the_oracle_says(seen: list[Click], data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(seen)), max_size=3))
    assert found(fold_in_batches(seen, cuts)) == expected([], seen)


@MANY
@given(clicks(days=200), st.data())
def test_sessions_are_counted_alike_though_their_clicks_expire(
    seen: list[Click], data: st.DataObject
) -> None:
    sorted_ = fold(Twin(), sorted(seen, key=lambda click: click.second))
    arriving = data.draw(arrival(seen))
    live = fold_in_batches(arriving, data.draw(st.lists(st.integers(0, len(seen)), max_size=8)))
    assert live.content_hash() == sorted_.content_hash()
    assert found(live) == expected([], seen)


@MANY
@given(clicks(), st.data())
def test_a_click_that_comes_again_counts_once(seen: list[Click], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(seen), max_size=6))
    once = fold(Twin(), seen)
    assert fold(once, again) is once
    assert fold(Twin(), [*seen, *again]).content_hash() == once.content_hash()


@MANY
@given(clicks(), st.data())
def test_partial_twins_add_up(seen: list[Click], data: st.DataObject) -> None:
    whole = fold(Twin(), seen)
    side = data.draw(st.lists(st.integers(0, 2), min_size=len(seen), max_size=len(seen)))
    a, b, c = (
        fold(Twin(), [click for click, s in zip(seen, side, strict=True) if s == part]) for part in range(3)
    )
    assert merge(merge(a, b), c).content_hash() == whole.content_hash()
    assert merge(c, merge(b, a)).content_hash() == whole.content_hash()
    assert merge(whole, b).content_hash() == whole.content_hash()


@MANY
@given(clicks(), st.data())
def test_rewinding_is_never_having_folded_what_came_after(seen: list[Click], data: st.DataObject) -> None:
    as_of = data.draw(st.sampled_from(seen)).second
    before = fold(Twin(), [click for click in seen if click.second <= as_of])
    assert rewind(fold(Twin(), seen), as_of).content_hash() == before.content_hash()


@MANY
@given(clicks(), st.integers(0, 10))
def test_bytes_give_the_same_twin(seen: list[Click], cut: int) -> None:
    first = fold(Twin(), seen[:cut])
    second, fresh, _ = fold_clicks(first, click_table(seen[cut:]))
    delta = Delta(empty(RECEIPT_COLUMNS), fresh)
    restored = apply_delta(read_twin(write_twin(first, 3)), read_delta(write_delta(delta, 4)))
    assert restored.content_hash() == second.content_hash()


def on(day: int, event: int, action: int = VIEW, session: int = 1, sku: int = 11) -> Click:
    return Click(event, (START_DAY + day) * SECONDS_PER_DAY, session, action, sku)


def test_what_is_taken_out_of_the_cart_again_leaves_no_trace_but_the_funnel() -> None:
    twin = fold(Twin(), [on(0, 1, ADD_TO_CART), on(0, 2, REMOVE_FROM_CART)])
    assert len(twin.cells) == 0
    assert twin.head[H_FUNNEL : H_FUNNEL + 6].tolist() == [0, 0, 1, 1, 0, 0]


def test_of_two_clicks_with_one_id_the_first_counts() -> None:
    twin, fresh, verdicts = fold_clicks(Twin(), click_table([on(0, 1), on(1, 1, ADD_TO_CART, sku=12)]))
    assert verdicts.tolist() == [ACCEPTED, DUPLICATE]
    assert found(twin).looks == {(11, START_DAY): (1, 0)}
    assert len(fresh) == 1


def test_a_click_is_late_by_the_newest_click_alone() -> None:
    twin = fold(Twin(), [on(40, 1)])
    arriving = click_table([on(40 - LATE_DAYS, 2), on(41 - LATE_DAYS, 3), on(40 - LATE_DAYS, 2)])
    assert fold_clicks(twin, arriving)[2].tolist() == [LATE, ACCEPTED, LATE]


def test_a_click_that_was_counted_is_a_duplicate_however_late_it_comes_again() -> None:
    twin = fold(Twin(), [on(0, 1), on(CLICK_DAYS - 1, 2)])
    assert fold_clicks(twin, click_table([on(0, 1)]))[2].tolist() == [DUPLICATE]


def test_a_session_that_was_silent_for_long_counts_anew() -> None:
    twin = fold(Twin(), [on(0, 1), on(SESSION_DAYS, 2), on(2 * SESSION_DAYS + 1, 3)])
    assert twin.head[H_SESSIONS] == 2
