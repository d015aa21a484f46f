"""Product statistics as JSON, compiled: `messages.profiles.ProductStatistics` of many products at once.

In a backlog most products change between two ticks, and receipts wait while a tick publishes them.
"""

from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
from numba import njit

from twin_store.json_text import (
    NUMBER_BYTES,
    fragment,
    put,
    put_int,
    put_money,
    put_null,
    put_rounded,
    quoted,
    string_end,
)
from twin_store.key_index import ABSENT, KeyIndex, find
from twin_store.messages.codec import FIRST_MONDAY
from twin_store.messages.profiles import ProductStatistics
from twin_store.product_statistics import (
    W_DAY,
    W_DEAL_LINES,
    W_LINES,
    W_NET,
    W_UNITS,
    Statistics,
    TableBounds,
    price_levels,
)
from twin_store.symbols import visit_parts

WEEKS_PUBLISHED = 12
STORES_PUBLISHED = 200
HASH_DIGITS = 16

_SKU, _HASH, _P10 = map(fragment, (',"sku":', ',"content_hash":"', '","price_p10":'))
_MEDIAN, _P90, _LINES = map(fragment, (',"price_median":', ',"price_p90":', ',"lines":'))
_DEAL_SHARE, _WEEKS, _STORES = map(fragment, (',"deal_share":', ',"weeks":[', '],"stores":['))
_WEEK, _WEEK_LINES, _UNITS = map(fragment, ('{"week":', ',"lines":', ',"units":'))
_NET, _DEAL_LINES, _WEEK_END = map(fragment, (',"net":', ',"deal_lines":', "}"))
_NEXT, _END = fragment(","), fragment("]}")
_WEEK_ROOM = 5 * NUMBER_BYTES + 64
_PRODUCT_ROOM = 5 * NUMBER_BYTES + HASH_DIGITS + 160 + WEEKS_PUBLISHED * _WEEK_ROOM


class StoreNames:
    """The stores that visit keys stand for, in the order of their names; it grows."""

    def __init__(self) -> None:
        self._index = KeyIndex()
        self._stores: list[str] = []
        self._table: StoreTable | None = None

    def add(self, visits: np.ndarray, symbols: Mapping[int, str]) -> None:
        """Know these visit keys; `symbols` has what each stands for."""
        before = len(self._index)
        self._index.add(visits)
        fresh = self._index.in_order()[before:].tolist()
        if fresh:
            self._stores += [visit_parts(symbols[key])[1] for key in fresh]
            self._table = None

    def table(self) -> "StoreTable":
        """For compiled code; valid until the next `add`."""
        if self._table is None:
            names = sorted({store for store in self._stores if store})
            rank = {name: place for place, name in enumerate(names)}
            ranks = np.array([rank.get(store, ABSENT) for store in self._stores], dtype=np.int64)
            self._table = StoreTable(self._index.keys, self._index.rows, ranks, *quoted(names))
        return self._table


class StoreTable(NamedTuple):
    """Stores by visit key.

    Attributes:
        keys, rows: a `KeyIndex` of visit keys.
        ranks: int64 by row, the store's place among all names; ABSENT where a visit was at no store.
        texts, starts: the names as JSON, by place, as `json_text.quoted` gives them.
    """

    keys: np.ndarray
    rows: np.ndarray
    ranks: np.ndarray
    texts: np.ndarray
    starts: np.ndarray


def product_texts(
    statistics: Statistics, bounds: TableBounds, skus: list[str], hashes: list[str], stores: StoreTable,
    as_of: datetime, revision: int, digits: int,
) -> list[bytes]:  # fmt: skip
    """The messages of some products.

    Args:
        bounds: where each product's rows are.
        skus, hashes: of each product; a hash has `HASH_DIGITS` hexadecimal digits.
        digits: of the currency's minor unit.
    """
    weekly, prices, visits = bounds
    opening = {"version": ProductStatistics.current_version, "as_of": as_of, "revision": revision}
    head = np.frombuffer(msgspec.json.encode(opening)[:-1], dtype=np.uint8)
    names = np.frombuffer(msgspec.json.encode(skus), dtype=np.uint8)
    longest = 1 + int(np.diff(stores.starts).max(initial=0))
    listed = np.minimum(visits[1] - visits[0], STORES_PUBLISHED).sum()
    room = len(skus) * (len(head) + _PRODUCT_ROOM) + len(names) + int(listed) * longest
    out = np.empty(room, dtype=np.uint8)
    ends = _write_products(
        out, digits, head, names, np.frombuffer("".join(hashes).encode(), dtype=np.uint8),
        price_levels(statistics.prices, *prices), statistics.weekly, *weekly, statistics.stores, *visits, *stores,
    )  # fmt: skip
    return [out[start:end].tobytes() for start, end in pairwise([0, *ends.tolist()])]


@njit(cache=True, nogil=True)
def _write_products(
    out: np.ndarray, digits: int, head: np.ndarray, skus: np.ndarray, hashes: np.ndarray, levels: np.ndarray,
    weekly: np.ndarray, week_starts: np.ndarray, week_ends: np.ndarray,
    visits: np.ndarray, visit_starts: np.ndarray, visit_ends: np.ndarray,
    keys: np.ndarray, rows: np.ndarray, ranks: np.ndarray, stores: np.ndarray, store_starts: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """All messages, one behind the other; returns where each ends."""
    ends = np.empty(levels.shape[0], dtype=np.int64)
    is_listed = np.zeros(store_starts.shape[0], dtype=np.bool_)
    at = 0
    sku = 1  # behind the bracket that opens the array of skus
    for product in range(levels.shape[0]):
        sku_end = string_end(skus, sku)
        at = put(out, put(out, put(out, at, head), _SKU), skus[sku:sku_end])
        sku = sku_end + 1
        digest = hashes[product * HASH_DIGITS : (product + 1) * HASH_DIGITS]
        at = put(out, put(out, at, _HASH), digest)
        at = _level(out, put(out, at, _P10), levels[product, 0], digits)
        at = _level(out, put(out, at, _MEDIAN), levels[product, 1], digits)
        at = _level(out, put(out, at, _P90), levels[product, 2], digits)
        at = _weeks(out, at, digits, weekly[week_starts[product] : week_ends[product]])
        at = put(out, at, _STORES)
        here = visits[visit_starts[product] : visit_ends[product]]
        at = _store_names(out, at, here, keys, rows, ranks, stores, store_starts, is_listed)
        at = put(out, at, _END)
        ends[product] = at
    return ends


@njit(cache=True, nogil=True)
def _level(out: np.ndarray, at: int, minor: int, digits: int) -> int:
    return put_null(out, at) if minor < 0 else put_money(out, at, minor, digits)


@njit(cache=True, nogil=True)
def _weeks(out: np.ndarray, at: int, digits: int, weekly: np.ndarray) -> int:
    """What all the weeks add up to, and the newest of them one by one."""
    lines = deals = 0
    for i in range(weekly.shape[0]):
        lines += weekly[i, W_LINES]
        deals += weekly[i, W_DEAL_LINES]
    at = put_int(out, put(out, at, _LINES), lines)
    at = put_rounded(out, put(out, at, _DEAL_SHARE), deals / lines if lines > 0 else 0.0, 4)
    at = put(out, at, _WEEKS)
    first = max(0, weekly.shape[0] - WEEKS_PUBLISHED)
    for i in range(first, weekly.shape[0]):
        at = put(out, at, _NEXT) if i > first else at
        at = put_int(out, put(out, at, _WEEK), (weekly[i, W_DAY] - FIRST_MONDAY) // 7)
        at = put_int(out, put(out, at, _WEEK_LINES), weekly[i, W_LINES])
        at = put_rounded(out, put(out, at, _UNITS), weekly[i, W_UNITS] / 1000, 3)
        at = put_money(out, put(out, at, _NET), weekly[i, W_NET], digits)
        at = put_int(out, put(out, at, _DEAL_LINES), weekly[i, W_DEAL_LINES])
        at = put(out, at, _WEEK_END)
    return at


@njit(cache=True, nogil=True)
def _store_names(
    out: np.ndarray, at: int, visits: np.ndarray, keys: np.ndarray, rows: np.ndarray, ranks: np.ndarray,
    names: np.ndarray, starts: np.ndarray, is_listed: np.ndarray,
) -> int:  # fmt: skip
    """The stores that sold it and did not take it all back, each once, by name.

    `is_listed` is all false before and after.
    """
    found = np.empty(visits.shape[0], dtype=np.int64)
    used = 0
    for i in range(visits.shape[0]):
        rank = ranks[find(keys, rows, visits[i, 1])]
        if visits[i, 2] > 0 and rank != ABSENT and not is_listed[rank]:
            is_listed[rank] = True
            found[used] = rank
            used += 1
    listed = np.sort(found[:used])
    for k in range(used):
        is_listed[listed[k]] = False
    for k in range(min(used, STORES_PUBLISHED)):
        at = put(out, at, _NEXT) if k > 0 else at
        at = put(out, at, names[starts[listed[k]] : starts[listed[k] + 1]])
    return at
