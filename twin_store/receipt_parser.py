"""Receipts from raw bytes straight to integer columns, compiled.

Reads receipts as most producers write them: known fields in any order, each once, plain ASCII strings, every
value in the range of its contract. A message that has anything else is left to the full decoder, which is the
judge: nothing is refused here, and nothing is accepted that the judge would refuse or read differently.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from twin_store.distinct import same_bytes
from twin_store.dna.layout import (
    EVENT_COLUMNS,
    EVENT_END,
    EVENT_KIND,
    EVENT_ORIGINAL,
    EVENT_SECOND,
    EVENT_START,
    EVENT_TXN,
    EVENT_VISIT,
    LINE_COLUMNS,
    RETURN,
    SALE,
    VOID,
)
from twin_store.hashing import key_between
from twin_store.json_scan import (
    CLOSE_LIST,
    CLOSE_OBJECT,
    COMMA,
    FAILED,
    OPEN_LIST,
    OPEN_OBJECT,
    bytes_of,
    field_at,
    field_names,
    identifier_end,
    instant,
    is_null,
    skip_space,
    starts_with,
)
from twin_store.line_parser import IDENTIFIER_MAX, parse_line
from twin_store.messages.base import LINES_MAX
from twin_store.pointers import pointer_to

CHANNEL_MAX = 32
PADDING = bytes(64)  # the scanner looks a few bytes ahead

VERSION, TRANSACTION, CUSTOMER, KIND, OCCURRED, STORE, CHANNEL, CURRENCY, ORIGINAL, LINES = range(10)
_NAMES = field_names(
    "version", "transaction_id", "customer_id", "kind", "occurred_at", "store_id", "channel", "currency",
    "original_transaction_id", "lines",
)  # fmt: skip
_NEEDED = 1 << TRANSACTION | 1 << CUSTOMER | 1 << OCCURRED | 1 << CURRENCY
_VERSION_1 = bytes_of(b'"1.0"')
_SALE, _RETURN, _VOID = bytes_of(b'"sale"'), bytes_of(b'"return"'), bytes_of(b'"void"')
_DEFAULT_CHANNEL = bytes_of(b"store")
_SLASH = 0x2F

# Where the strings of a receipt stand: start and end of each.
PLACE_CUSTOMER, PLACE_STORE, PLACE_CHANNEL = 0, 2, 4
PLACE_COLUMNS = 6


class Scanned(NamedTuple):
    """What the scanner read of a batch.

    Attributes:
        events: [n, EVENT_COLUMNS]; TWIN is left 0.
        lines: [m, LINE_COLUMNS].
        places: [n, PLACE_COLUMNS] where the strings of each event stand; 0 to 0 for one that is not given.
        skus: [m, 2] where the sku of each line stands.
        sources: [n] the message each event came from.
        left: messages for the full decoder.
    """

    events: np.ndarray
    lines: np.ndarray
    places: np.ndarray
    skus: np.ndarray
    sources: np.ndarray
    left: np.ndarray


def joined(parts: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Parts end to end with a NUL after each, and where each ends."""
    ends = np.cumsum(np.fromiter(map(len, parts), dtype=np.int64, count=len(parts)) + 1) - 1
    return np.frombuffer(b"\0".join((*parts, PADDING)), dtype=np.uint8), ends


@njit(cache=True, nogil=True)
def parse_receipts(
    text: np.ndarray,
    ends: np.ndarray,
    keys: np.ndarray,
    key_ends: np.ndarray,
    latest: np.ndarray,
    currency: np.ndarray,
    digits: int,
) -> Scanned:
    """Read the messages that are as expected.

    Args:
        text, ends: the messages, as `joined`.
        keys, key_ends: their record keys, as `joined`.
        latest: [n] the last epoch second that each may be dated.
        currency: ISO 4217 in quotes, with so many `digits` after the point.
    """
    count = ends.shape[0]
    lines_max = 0
    for i in range(text.shape[0]):
        lines_max += text[i] == OPEN_OBJECT
    events = np.zeros((count, EVENT_COLUMNS), dtype=np.int64)
    lines = np.empty((lines_max, LINE_COLUMNS), dtype=np.int64)
    places = np.zeros((count, PLACE_COLUMNS), dtype=np.int64)
    skus = np.empty((lines_max, 2), dtype=np.int64)
    sources = np.empty(count, dtype=np.int64)
    left = np.empty(count, dtype=np.int64)
    buffer, key_buffer = pointer_to(text, 0), pointer_to(keys, 0)
    used = n_lines = n_left = start = key_start = 0
    for i in range(count):
        event, place = pointer_to(events, EVENT_COLUMNS * used), pointer_to(places, PLACE_COLUMNS * used)
        end = _receipt(buffer, start, ends[i], event, place, lines, skus, n_lines, currency, digits)
        good = end != FAILED and event[EVENT_SECOND] <= latest[i]
        if good and same_bytes(
            buffer, place[PLACE_CUSTOMER], place[PLACE_CUSTOMER + 1], key_buffer, key_start, key_ends[i]
        ):
            event[EVENT_START], event[EVENT_END] = n_lines, end
            n_lines = end
            sources[used] = i
            used += 1
        else:
            left[n_left] = i
            n_left += 1
        start, key_start = ends[i] + 1, key_ends[i] + 1
    return Scanned(
        events[:used], lines[:n_lines], places[:used], skus[:n_lines], sources[:used], left[:n_left]
    )


@njit(cache=True, nogil=True)
def _receipt(
    text: Any,
    start: int,
    end: int,
    event: Any,
    place: Any,
    lines: np.ndarray,
    skus: np.ndarray,
    n_lines: int,
    currency: np.ndarray,
    digits: int,
) -> int:
    """Read one message; its lines go to `lines` from `n_lines` on. Returns where they end, or FAILED."""
    event[EVENT_KIND], event[EVENT_ORIGINAL] = SALE, 0
    for c in range(PLACE_COLUMNS):
        place[c] = 0
    lines_end = n_lines
    seen = 0
    field = -1
    at = skip_space(text, start)
    if text[at] != OPEN_OBJECT:
        return FAILED
    while True:
        at, field = field_at(text, skip_space(text, at + 1), field, _NAMES)
        if at == FAILED or seen >> field & 1:
            return FAILED
        seen |= 1 << field
        if field == LINES:
            at, lines_end = _all_lines(text, at, lines, skus, n_lines, digits)
        else:
            at = _attribute(text, at, field, event, place, currency)
        if at == FAILED:
            return FAILED
        at = skip_space(text, at)
        if text[at] != COMMA:
            break
    if text[at] != CLOSE_OBJECT or skip_space(text, at + 1) != end or seen & _NEEDED != _NEEDED:
        return FAILED
    kind = event[EVENT_KIND]
    if (kind != SALE and event[EVENT_ORIGINAL] == 0) or (kind != VOID and lines_end == n_lines):
        return FAILED
    event[EVENT_VISIT] = _visit_key(text, place)
    return lines_end


@njit(cache=True, nogil=True)
def _attribute(text: Any, at: int, field: int, event: Any, place: Any, currency: np.ndarray) -> int:
    """Read one field other than the lines; returns the position after it, or FAILED."""
    if field == OCCURRED:
        at, event[EVENT_SECOND] = instant(text, at)
        return at
    if field == CURRENCY:
        return at + currency.shape[0] if starts_with(text, at, currency) else FAILED
    if field == VERSION:
        return at + _VERSION_1.shape[0] if starts_with(text, at, _VERSION_1) else FAILED
    if field == KIND:
        return _kind(text, at, event)
    if field in (STORE, ORIGINAL) and is_null(text, at):
        return at + 4
    end = identifier_end(text, at, CHANNEL_MAX if field == CHANNEL else IDENTIFIER_MAX)
    if end == FAILED:
        return FAILED
    if field == TRANSACTION:
        event[EVENT_TXN] = key_between(text, at + 1, end)
    elif field == ORIGINAL:
        event[EVENT_ORIGINAL] = key_between(text, at + 1, end)
    else:
        first = PLACE_CUSTOMER if field == CUSTOMER else PLACE_STORE if field == STORE else PLACE_CHANNEL
        place[first], place[first + 1] = at + 1, end
    return end + 1


@njit(cache=True, nogil=True)
def _kind(text: Any, at: int, event: Any) -> int:
    if starts_with(text, at, _SALE):
        return at + _SALE.shape[0]
    if starts_with(text, at, _RETURN):
        event[EVENT_KIND] = RETURN
        return at + _RETURN.shape[0]
    if starts_with(text, at, _VOID):
        event[EVENT_KIND] = VOID
        return at + _VOID.shape[0]
    return FAILED


@njit(cache=True, nogil=True)
def _all_lines(
    text: Any, at: int, lines: np.ndarray, skus: np.ndarray, used: int, digits: int
) -> tuple[int, int]:
    """Read the list of lines: the position after it, and how many rows of `lines` are in use then."""
    if text[at] != OPEN_LIST:
        return FAILED, 0
    at = skip_space(text, at + 1)
    if text[at] == CLOSE_LIST:
        return at + 1, used
    for _ in range(LINES_MAX):
        if text[at] != OPEN_OBJECT:
            return FAILED, 0
        row = pointer_to(lines, LINE_COLUMNS * used)
        at = parse_line(text, at, row, pointer_to(skus, 2 * used), digits)
        if at == FAILED:
            return FAILED, 0
        used += 1
        at = skip_space(text, at)
        if text[at] == CLOSE_LIST:
            return at + 1, used
        if text[at] != COMMA:
            return FAILED, 0
        at = skip_space(text, at + 1)
    return FAILED, 0


@njit(cache=True, nogil=True)
def _visit_key(text: Any, place: Any) -> int:
    """The key of `columns.visit_name`."""
    name = np.empty(CHANNEL_MAX + 1 + IDENTIFIER_MAX, dtype=np.uint8)
    used = 0
    if place[PLACE_CHANNEL + 1] == 0:
        for byte in _DEFAULT_CHANNEL:
            name[used] = byte
            used += 1
    for i in range(place[PLACE_CHANNEL], place[PLACE_CHANNEL + 1]):
        name[used] = text[i]
        used += 1
    name[used] = _SLASH
    used += 1
    for i in range(place[PLACE_STORE], place[PLACE_STORE + 1]):
        name[used] = text[i]
        used += 1
    return key_between(name, 0, used)
