"""A twin as bytes: small, versioned, no pickle. Used by the store, the changelog and transfers.

A table is written row by row; each value as its difference from the row above, zigzag, in 7-bit groups.
Sorted tables differ little from row to row, so most values take one byte.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit

from twin_store.dna.layout import (
    CELL_COLUMNS,
    CLICK_COLUMNS,
    H_LAST_SECOND,
    HEAD_COLUMNS,
    R_SECOND,
    RECEIPT_COLUMNS,
    VISIT_COLUMNS,
)
from twin_store.dna.twin import Twin, absorb_clicks, absorb_receipts, fold_about

FORMAT = 1
_FULL, _DELTA = 0, 1
_HEADER = struct.Struct("<BBQ")  # format, full or delta, sequence number
# Of a twin, how many rows four of its tables have; of a delta, rows and bytes of both tables. And a second.
_COUNTS = struct.Struct("<IIIII")
_LENGTHS = struct.Struct("<IIIII")  # bytes of the five tables of a whole twin
VARINT_MAX = 10


class BadStateError(ValueError):
    """Bytes that are not a twin of a format this reader knows."""


@njit(cache=True, nogil=True)
def pack_rows(rows: np.ndarray) -> np.ndarray:
    """A table [n, columns] as bytes [k] (uint8)."""
    columns = rows.shape[1]
    out = np.empty(rows.shape[0] * columns * VARINT_MAX, dtype=np.uint8)
    at = 0
    for i in range(rows.shape[0]):
        for c in range(columns):
            value = rows[i, c] - (rows[i - 1, c] if i > 0 else 0)
            rest = np.uint64((value << 1) ^ (value >> 63))
            while rest >= np.uint64(0x80):
                out[at] = np.uint8((rest & np.uint64(0x7F)) | np.uint64(0x80))
                rest >>= np.uint64(7)
                at += 1
            out[at] = np.uint8(rest)
            at += 1
    return out[:at].copy()


@njit(cache=True, nogil=True)
def unpack_rows(data: np.ndarray, count: int, columns: int) -> np.ndarray:
    """The table [count, columns] that `pack_rows` wrote.

    Raises:
        ValueError: these bytes are not such a table.
    """
    if count * columns > data.shape[0]:
        raise ValueError("a table of the state is cut off")
    rows = np.zeros((count, columns), dtype=np.int64)
    at = 0
    for i in range(count):
        for c in range(columns):
            rest = np.uint64(0)
            shift = np.uint64(0)
            while True:
                if at == data.shape[0] or shift > np.uint64(63):
                    raise ValueError("a table of the state is cut off")
                byte = np.uint64(data[at])
                at += 1
                rest |= (byte & np.uint64(0x7F)) << shift
                if byte < np.uint64(0x80):
                    break
                shift += np.uint64(7)
            value = np.int64(rest >> np.uint64(1)) ^ -np.int64(rest & np.uint64(1))
            rows[i, c] = value + (rows[i - 1, c] if i > 0 else 0)
    if at != data.shape[0]:
        raise ValueError("a table of the state has more rows than it says")
    return rows


@dataclass(frozen=True)
class Delta:
    """What one batch added to a twin: the accepted rows, and a newer Customer body when there is one."""

    receipts: np.ndarray
    clicks: np.ndarray
    about: bytes = b""
    about_second: int = 0


def apply_delta(twin: Twin, delta: Delta) -> Twin:
    """Absorb what a batch added."""
    if len(delta.receipts):
        twin = absorb_receipts(twin, delta.receipts)
    if len(delta.clicks):
        twin = absorb_clicks(twin, delta.clicks)
    return fold_about(twin, delta.about, delta.about_second) if delta.about_second else twin


def write_delta(delta: Delta, sequence: int) -> bytes:
    """A delta's bytes; `sequence` counts the writes of this twin."""
    receipts = pack_rows(delta.receipts).tobytes()
    clicks = pack_rows(delta.clicks).tobytes()
    counts = _COUNTS.pack(
        len(delta.receipts), len(delta.clicks), len(receipts), len(clicks), delta.about_second
    )
    return b"".join((_HEADER.pack(FORMAT, _DELTA, sequence), counts, receipts, clicks, delta.about))


def newest_receipt(data: bytes) -> int:
    """Epoch seconds of the newest receipt that a record, delta or whole, brings; 0 when it brings none."""
    if not is_full(data):
        receipts = read_delta(data).receipts
        return int(receipts[:, R_SECOND].max()) if len(receipts) else 0
    (length, *_) = _LENGTHS.unpack_from(data, _HEADER.size + _COUNTS.size)
    start = _HEADER.size + _COUNTS.size + _LENGTHS.size
    head = unpack_rows(np.frombuffer(data, dtype=np.uint8)[start : start + length], 1, HEAD_COLUMNS)
    return int(head[0, H_LAST_SECOND])


def write_twin(twin: Twin, sequence: int) -> bytes:
    """A whole twin's bytes."""
    tables = (twin.head.reshape(1, -1), twin.cells, twin.visits, twin.receipts, twin.clicks)
    packed = [pack_rows(table).tobytes() for table in tables]
    counts = _COUNTS.pack(
        len(twin.cells), len(twin.visits), len(twin.receipts), len(twin.clicks), twin.about_second
    )
    lengths = _LENGTHS.pack(*map(len, packed))
    return b"".join((_HEADER.pack(FORMAT, _FULL, sequence), counts, lengths, *packed, twin.about))


def sequence_of(data: bytes) -> int:
    """The sequence number of a record.

    Raises:
        BadStateError: too short, or of an unknown format.
    """
    if len(data) < _HEADER.size + _COUNTS.size:
        raise BadStateError(f"a state record of {len(data)} bytes is cut off")
    form, _, sequence = _HEADER.unpack_from(data)
    if form != FORMAT:
        raise BadStateError(f"state format {form} is not known; this reader knows {FORMAT}")
    return int(sequence)


def is_full(data: bytes) -> bool:
    """Whether the record is a whole twin."""
    return data[1] == _FULL


def read_delta(data: bytes) -> Delta:
    """What `write_delta` wrote.

    Raises:
        BadStateError: it is something else.
    """
    sequence_of(data)
    if is_full(data):
        raise BadStateError("a part of a twin is expected, and this is a whole one")
    n_receipts, n_clicks, receipts_bytes, clicks_bytes, second = _COUNTS.unpack_from(data, _HEADER.size)
    shapes = ((n_receipts, RECEIPT_COLUMNS), (n_clicks, CLICK_COLUMNS))
    (receipts, clicks), end = _tables(
        data, _HEADER.size + _COUNTS.size, (receipts_bytes, clicks_bytes), shapes
    )
    return Delta(receipts, clicks, data[end:], second)


def read_twin(data: bytes) -> Twin:
    """What `write_twin` wrote.

    Raises:
        BadStateError: it is something else.
    """
    sequence_of(data)
    *counts, second = _COUNTS.unpack_from(data, _HEADER.size)
    start = _HEADER.size + _COUNTS.size + _LENGTHS.size
    if not is_full(data) or len(data) < start:
        raise BadStateError("a whole twin is expected, and this is none")
    widths = (HEAD_COLUMNS, CELL_COLUMNS, VISIT_COLUMNS, RECEIPT_COLUMNS, CLICK_COLUMNS)
    lengths = _LENGTHS.unpack_from(data, start - _LENGTHS.size)
    tables, end = _tables(data, start, lengths, zip((1, *counts), widths, strict=True))
    head, cells, visits, receipts, clicks = tables
    return Twin(head[0].copy(), cells, visits, receipts, clicks, data[end:], second)


def _tables(
    data: bytes, at: int, lengths: Iterable[int], shapes: Iterable[tuple[int, int]]
) -> tuple[list[np.ndarray], int]:
    """Tables that stand one after the other from byte `at` on, and where they end."""
    view = np.frombuffer(data, dtype=np.uint8)
    tables = []
    for length, (count, columns) in zip(lengths, shapes, strict=True):
        try:
            tables.append(unpack_rows(view[at : at + length], count, columns))
        except ValueError as error:
            raise BadStateError(str(error)) from error
        at += length
    return tables, at
