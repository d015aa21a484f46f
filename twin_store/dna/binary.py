"""A twin as bytes: small, versioned, no pickle. Used by the store, the changelog and transfers.

A table is written row by row; each value as its difference from the row above, zigzag, in 7-bit groups.
Sorted tables differ little from row to row, so most values take one byte.
"""

import struct
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
_COUNTS = struct.Struct("<IIIII")  # rows of the five parts, or bytes where a part is bytes
_LENGTHS = struct.Struct("<IIII")
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
    """The table [count, columns] that `pack_rows` wrote."""
    rows = np.zeros((count, columns), dtype=np.int64)
    at = 0
    for i in range(count):
        for c in range(columns):
            rest = np.uint64(0)
            shift = np.uint64(0)
            while True:
                byte = np.uint64(data[at])
                at += 1
                rest |= (byte & np.uint64(0x7F)) << shift
                if byte < np.uint64(0x80):
                    break
                shift += np.uint64(7)
            value = np.int64(rest >> np.uint64(1)) ^ -np.int64(rest & np.uint64(1))
            rows[i, c] = value + (rows[i - 1, c] if i > 0 else 0)
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
    at = _HEADER.size + _COUNTS.size
    (length, *_) = _LENGTHS.unpack_from(data, at)
    at += _LENGTHS.size + 4
    head = unpack_rows(np.frombuffer(data, dtype=np.uint8)[at : at + length], 1, HEAD_COLUMNS)
    return int(head[0, H_LAST_SECOND])


def write_twin(twin: Twin, sequence: int) -> bytes:
    """A whole twin's bytes."""
    tables = (twin.head.reshape(1, -1), twin.cells, twin.visits, twin.receipts, twin.clicks)
    packed = [pack_rows(table).tobytes() for table in tables]
    counts = _COUNTS.pack(
        len(twin.cells), len(twin.visits), len(twin.receipts), len(twin.clicks), twin.about_second
    )
    lengths = _LENGTHS.pack(*map(len, packed[:4]))
    clicks_length = struct.pack("<I", len(packed[4]))
    return b"".join(
        (_HEADER.pack(FORMAT, _FULL, sequence), counts, lengths, clicks_length, *packed, twin.about)
    )


def sequence_of(data: bytes) -> int:
    """The sequence number of a record.

    Raises:
        BadStateError: unknown format.
    """
    form, _, sequence = _HEADER.unpack_from(data)
    if form != FORMAT:
        raise BadStateError(f"state format {form} is not known; this reader knows {FORMAT}")
    return int(sequence)


def is_full(data: bytes) -> bool:
    """Whether the record is a whole twin."""
    return data[1] == _FULL


def read_delta(data: bytes) -> Delta:
    """What `write_delta` wrote."""
    view = np.frombuffer(data, dtype=np.uint8)
    n_receipts, n_clicks, receipts_bytes, clicks_bytes, second = _COUNTS.unpack_from(data, _HEADER.size)
    at = _HEADER.size + _COUNTS.size
    receipts = unpack_rows(view[at : at + receipts_bytes], n_receipts, RECEIPT_COLUMNS)
    at += receipts_bytes
    clicks = unpack_rows(view[at : at + clicks_bytes], n_clicks, CLICK_COLUMNS)
    return Delta(receipts, clicks, data[at + clicks_bytes :], second)


def read_twin(data: bytes) -> Twin:
    """What `write_twin` wrote."""
    view = np.frombuffer(data, dtype=np.uint8)
    *counts, second = _COUNTS.unpack_from(data, _HEADER.size)
    at = _HEADER.size + _COUNTS.size
    lengths = (*_LENGTHS.unpack_from(data, at), *struct.unpack_from("<I", data, at + _LENGTHS.size))
    at += _LENGTHS.size + 4
    tables = []
    shapes = zip(
        (1, *counts), (HEAD_COLUMNS, CELL_COLUMNS, VISIT_COLUMNS, RECEIPT_COLUMNS, CLICK_COLUMNS), strict=True
    )
    for (count, columns), length in zip(shapes, lengths, strict=True):
        tables.append(unpack_rows(view[at : at + length], count, columns))
        at += length
    head, cells, visits, receipts, clicks = tables
    return Twin(head[0].copy(), cells, visits, receipts, clicks, data[at:], second)
