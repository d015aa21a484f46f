"""What all customers' receipts say of each product: weekly sales, price levels, stores. Behind the same laws.

Three additive tables, sorted and summed by `dna.rows`, so deltas of any batch and partition add up in any order
and a return takes back exactly what the sale put in. A batch's deltas travel to the product's own partition as
one block.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
from numba import njit

from twin_store.dna.binary import pack_rows, unpack_rows
from twin_store.dna.layout import (
    C_COUPON,
    C_DAY,
    C_DEAL_LINES,
    C_DISCOUNT,
    C_LINES,
    C_NET,
    C_PRICED_LINES,
    C_SKU,
    C_UNITS,
)
from twin_store.dna.receipts import FIRST_MONDAY
from twin_store.dna.rows import LEAST, add_up, empty, sum_up

WEEKS_KEPT = 26
PRICE_WEEKS = 13  # prices are counted by spans of this many weeks, and the newest two spans are read
PRICE_STEP = math.log(1.02)  # a price bucket is 2 % wide
BUCKETS = 4_096

# Weekly: (sku, monday) -> lines, units, net, deal lines. Prices: (sku, span and bucket) -> lines.
# Stores: (sku, visit key) -> lines.
W_SKU, W_DAY, W_LINES, W_UNITS, W_NET, W_DEAL_LINES = range(6)
WEEKLY_COLUMNS, PRICE_COLUMNS, STORE_COLUMNS = 6, 3, 3


@dataclass(frozen=True)
class Statistics:
    """The three tables; a batch's deltas and a partition's state look the same."""

    weekly: np.ndarray
    prices: np.ndarray
    stores: np.ndarray

    def skus(self) -> np.ndarray:
        """The sku keys of all three tables, sorted: what adds up to nothing in one may stand in another.

        A return and a sale of one batch, in one store but not in one week, leave no row of stores.
        """
        return _skus_of(self.weekly, self.prices, self.stores)

    def keys(self) -> np.ndarray:
        """Its sku and visit keys, each once."""
        return np.concatenate((self.skus(), np.unique(self.stores[:, 1])))

    def rows(self) -> int:
        """Of all three tables."""
        return len(self.weekly) + len(self.prices) + len(self.stores)

    def where(self, chosen: Callable[[np.ndarray], np.ndarray]) -> "Statistics":
        """Those of some products: `chosen` says of an array of sku keys which."""
        return Statistics(*(table[chosen(table[:, 0])] for table in (self.weekly, self.prices, self.stores)))

    def split(self, part_of: Callable[[np.ndarray], np.ndarray], parts: int) -> "list[Statistics]":
        """Statistics by part: `part_of` gives the part of each of an array of sku keys."""

        def pieces(table: np.ndarray) -> list[np.ndarray]:
            part = part_of(table[:, 0])
            order = np.argsort(part, kind="stable")
            ends = np.cumsum(np.bincount(part, minlength=parts))
            return [table[rows] for rows in np.split(order, ends[:-1])]

        split_tables = map(pieces, (self.weekly, self.prices, self.stores))
        return [Statistics(*tables) for tables in zip(*split_tables, strict=True)]

    def bounds_of(self, skus: np.ndarray) -> "TableBounds":
        """Where the rows of each sku key start and end in each table."""
        return TableBounds(*(_bounds(table, skus) for table in (self.weekly, self.prices, self.stores)))


Bounds = tuple[np.ndarray, np.ndarray]


class TableBounds(NamedTuple):
    """Of each table, where the rows of some products start and end: int64 [n] each."""

    weekly: Bounds
    prices: Bounds
    stores: Bounds


@njit(cache=True, nogil=True)
def _skus_of(weekly: np.ndarray, prices: np.ndarray, stores: np.ndarray) -> np.ndarray:
    """The values of column 0 of three tables that are sorted by it, sorted, each once."""
    found = np.empty(weekly.shape[0] + prices.shape[0] + stores.shape[0], dtype=np.int64)
    used = 0
    tables = (weekly, prices, stores)
    at = np.zeros(len(tables), dtype=np.int64)
    while True:
        least = np.int64(0)
        is_over = True
        for t in range(len(tables)):
            if at[t] < tables[t].shape[0] and (is_over or tables[t][at[t], 0] < least):
                least = tables[t][at[t], 0]
                is_over = False
        if is_over:
            return found[:used]
        found[used] = least
        used += 1
        for t in range(len(tables)):
            while at[t] < tables[t].shape[0] and tables[t][at[t], 0] == least:
                at[t] += 1


def nothing() -> Statistics:
    """No products."""
    return Statistics(empty(WEEKLY_COLUMNS), empty(PRICE_COLUMNS), empty(STORE_COLUMNS))


def deltas_of(moved: np.ndarray, where: np.ndarray) -> Statistics:
    """What moved cell rows [n, CELL_COLUMNS], each at visit key `where[i]`, add to the products."""
    order = np.argsort(np.ascontiguousarray(moved[:, C_SKU]))
    weekly, prices, stores = _rows_of(moved, where, order)
    return Statistics(
        sum_up(weekly),
        sum_up(prices),
        sum_up(stores),
    )


@njit(cache=True, nogil=True)
def _rows_of(
    moved: np.ndarray, where: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each row adds to the tables, in this order."""
    n = moved.shape[0]
    weekly = np.zeros((n, WEEKLY_COLUMNS), dtype=np.int64)
    prices = np.zeros((n, PRICE_COLUMNS), dtype=np.int64)
    stores = np.zeros((n, STORE_COLUMNS), dtype=np.int64)
    priced = 0
    for i in range(n):
        row = moved[order[i]]
        monday = row[C_DAY] - (row[C_DAY] - FIRST_MONDAY) % 7
        weekly[i, W_SKU] = stores[i, 0] = row[C_SKU]
        weekly[i, W_DAY] = monday
        weekly[i, W_LINES] = row[C_LINES]
        weekly[i, W_UNITS] = row[C_UNITS]
        weekly[i, W_NET] = row[C_NET]
        weekly[i, W_DEAL_LINES] = row[C_DEAL_LINES]
        stores[i, 1] = where[order[i]]
        stores[i, 2] = row[C_LINES]
        shelf = row[C_NET] + row[C_DISCOUNT] + row[C_COUPON]
        if row[C_PRICED_LINES] != 0 and row[C_UNITS] != 0 and shelf / row[C_UNITS] > 0:
            bucket = price_bucket(shelf * 1000 / row[C_UNITS])
            prices[priced, 0] = row[C_SKU]
            prices[priced, 1] = span_of(monday) * BUCKETS + bucket
            prices[priced, 2] = row[C_PRICED_LINES]
            priced += 1
    return weekly, prices[:priced], stores


@njit(cache=True, nogil=True)
def price_bucket(minor: float) -> int:
    """The bucket of a unit price in minor units."""
    return min(max(int(math.log(minor) / PRICE_STEP) + 256, 0), BUCKETS - 1)


@njit(cache=True, nogil=True)
def span_of(day: int) -> int:
    """The price span that a day falls into."""
    return (day - FIRST_MONDAY) // (7 * PRICE_WEEKS)


@njit(cache=True, nogil=True)
def price_levels(prices: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The 10th, 50th and 90th percentile of shelf prices over all spans, whole minor units; -1 where no line had one.

    Args:
        prices: a price table.
        starts, ends: int64 [n], where the rows of each product stand.

    Returns:
        int64 [n, 3].
    """
    levels = np.full((starts.shape[0], 3), -1, dtype=np.int64)
    for product in range(starts.shape[0]):
        rows = prices[starts[product] : ends[product]]
        order = np.argsort(rows[:, 1] % BUCKETS)
        total = 0
        for row in rows:
            total += max(row[2], 0)
        seen = 0
        found = 0
        for i in order:
            seen += max(rows[i, 2], 0)
            while total > 0 and found < 3 and seen >= total * (0.1, 0.5, 0.9)[found]:
                levels[product, found] = round(bucket_price(rows[i, 1] % BUCKETS))
                found += 1
    return levels


@njit(cache=True, nogil=True)
def bucket_price(bucket: int) -> float:
    """The middle of a price bucket, minor units."""
    return math.exp((bucket - 256 + 0.5) * PRICE_STEP)


def combine(base: Statistics, deltas: list[Statistics]) -> Statistics:
    """Add deltas to a state; weeks and price spans behind its newest week's window leave."""
    weekly = np.concatenate([d.weekly for d in deltas])
    newest = max((int(t[:, W_DAY].max()) for t in (base.weekly, weekly) if len(t)), default=0)
    return Statistics(
        add_up(base.weekly, weekly, newest - 7 * WEEKS_KEPT),
        add_up(base.prices, np.concatenate([d.prices for d in deltas]), (span_of(newest) - 1) * BUCKETS - 1),
        add_up(base.stores, np.concatenate([d.stores for d in deltas]), LEAST),
    )


def _bounds(table: np.ndarray, keys: np.ndarray) -> Bounds:
    column = np.ascontiguousarray(table[:, 0])
    return np.searchsorted(column, keys, side="left"), np.searchsorted(column, keys, side="right")


def write_statistics(statistics: Statistics, symbols: Mapping[int, str]) -> bytes:
    """Statistics as bytes, with the texts of the sku and visit keys they hold."""
    tables = (statistics.weekly, statistics.prices, statistics.stores)
    return msgspec.msgpack.encode([symbols, *((len(t), pack_rows(t).tobytes()) for t in tables)])


def read_statistics(data: bytes) -> tuple[Statistics, dict[int, str]]:
    """What `write_statistics` wrote."""
    symbols, *packed = msgspec.msgpack.decode(
        data, type=tuple[dict[int, str], tuple[int, bytes], tuple[int, bytes], tuple[int, bytes]]
    )
    columns = (WEEKLY_COLUMNS, PRICE_COLUMNS, STORE_COLUMNS)
    tables = [
        unpack_rows(np.frombuffer(body, dtype=np.uint8), count, width)
        for (count, body), width in zip(packed, columns, strict=True)
    ]
    return Statistics(*tables), symbols
