"""Twins as bytes: every integer survives, and bytes that are no twin are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin_store.dna.histories import click_table, clicks, columns, fold, history
from tests.twin_store.dna.oracle import Click, Event
from twin_store.dna.binary import (
    BadStateError,
    Delta,
    is_full,
    newest_receipt,
    pack_rows,
    read_delta,
    read_twin,
    sequence_of,
    unpack_rows,
    write_delta,
    write_twin,
)
from twin_store.dna.layout import CLICK_COLUMNS, H_LAST_SECOND, RECEIPT_COLUMNS
from twin_store.dna.rows import empty
from twin_store.dna.twin import Twin, fold_about, fold_clicks, fold_receipts

INTEGERS = st.one_of(
    st.sampled_from((-(2**63), 2**63 - 1, -(2**62), 0, -1, 1)), st.integers(-(2**63), 2**63 - 1)
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(INTEGERS, INTEGERS, INTEGERS), max_size=8))
def test_every_integer_survives(rows: list[tuple[int, int, int]]) -> None:
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 3)
    packed = pack_rows(table)
    np.testing.assert_array_equal(unpack_rows(packed, len(rows), 3), table)
    assert len(packed) <= 30 * len(rows)


@settings(max_examples=50, deadline=None)
@given(history(), clicks(), st.binary(max_size=20))
def test_a_twin_survives_whole_and_as_what_was_added(
    events: list[Event], seen: list[Click], about: bytes
) -> None:
    twin, receipts, _ = fold_receipts(Twin(), *columns(events))
    twin, rows, _ = fold_clicks(twin, click_table(seen))
    twin = fold_about(twin, about, 7)
    whole = write_twin(twin, 48)
    assert read_twin(whole).content_hash() == twin.content_hash()
    assert (sequence_of(whole), is_full(whole)) == (48, True)
    assert newest_receipt(whole) == twin.head[H_LAST_SECOND]
    part = write_delta(Delta(receipts, rows, about, 7), 49)
    back = read_delta(part)
    np.testing.assert_array_equal(back.receipts, receipts)
    np.testing.assert_array_equal(back.clicks, rows)
    assert (back.about, back.about_second) == (about, 7)
    assert (sequence_of(part), is_full(part)) == (49, False)
    assert newest_receipt(part) == twin.head[H_LAST_SECOND]


def test_a_part_without_receipts_has_no_newest_one() -> None:
    part = write_delta(Delta(empty(RECEIPT_COLUMNS), empty(CLICK_COLUMNS), b"{}", 9), 1)
    assert newest_receipt(part) == 0


@settings(max_examples=50, deadline=None)
@given(history(), st.data())
def test_what_is_cut_off_or_garbled_is_refused(events: list[Event], data: st.DataObject) -> None:
    twin = fold(Twin(), events)
    receipts = fold_receipts(Twin(), *columns(events))[1]
    for whole, read in (
        (write_twin(twin, 0), read_twin),
        (write_delta(Delta(receipts, empty(CLICK_COLUMNS)), 1), read_delta),
    ):
        with pytest.raises(BadStateError):
            read(whole[: data.draw(st.integers(0, len(whole) - 1))])
        with pytest.raises(BadStateError, match="format 9"):
            read(b"\x09" + whole[1:])
        counts = bytearray(whole)
        counts[10] ^= 1 << data.draw(st.integers(0, 7))  # how many rows the first table has
        with pytest.raises(BadStateError):
            read(bytes(counts))


def test_a_part_is_not_taken_for_a_whole_twin_nor_a_whole_one_for_a_part() -> None:
    with pytest.raises(BadStateError, match="whole twin"):
        read_twin(write_delta(Delta(empty(RECEIPT_COLUMNS), empty(CLICK_COLUMNS)), 0))
    with pytest.raises(BadStateError, match="part of a twin"):
        read_delta(write_twin(Twin(), 0))
