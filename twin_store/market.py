"""What the market does with each product, week by week: lines, units, net, deal lines, and which stores list it.

Filled from the lake (`from_weeks`, `list_at`) or from `twins.products` messages (`put`); both give the same rows.
A reader at week w is shown completed weeks only, those before w: a product's own week holds the very purchases
that are to be foretold.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np
import polars as pl
from numba import njit

from twin_store.key_index import ABSENT, KeyIndex
from twin_store.messages.base import INSTANT_SECONDS_MAX
from twin_store.messages.codec import epoch_seconds, minor_digits, to_minor, to_thousandths, week_of_day
from twin_store.messages.profiles import ProductStatistics
from twin_store.symbols import KeyMemo, key_of

MARKET_WEEKS = 13  # completed weeks that evidence reads
W_WEEK, W_LINES, W_UNITS, W_NET, W_DEAL_LINES = range(5)
WEEK_COLUMNS = 5
WEEKS_EVER = week_of_day(INSTANT_SECONDS_MAX // 86_400) + 1
ALWAYS = -1  # a listing that was there before the market was first heard of
_SPARE_ROWS = 8


class MarketTables(NamedTuple):
    """The market for compiled code.

    Attributes:
        keys, rows: for `key_index.find`, sku key to row.
        starts, lengths: where the row's weeks stand in `weeks`.
        weeks: [m, WEEK_COLUMNS]; one product's rows stand together, ascending by week.
        totals: [WEEKS_EVER] lines of all products by week.
        listing_keys, listing_rows: for `key_index.find`, `listing_key` to row.
        listed_since: by listing row, the week in which the store first sold it.
    """

    keys: np.ndarray
    rows: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    weeks: np.ndarray
    totals: np.ndarray
    listing_keys: np.ndarray
    listing_rows: np.ndarray
    listed_since: np.ndarray


class Market:
    """Weekly facts of all products. `tables` is for compiled readers and valid until the next change."""

    def __init__(self, currency: str = "USD") -> None:
        self._digits = minor_digits(currency)
        self._index = KeyIndex()
        self._starts = np.zeros(16, dtype=np.int64)
        self._lengths = np.zeros(16, dtype=np.int64)
        self._room = np.zeros(16, dtype=np.int64)
        self._weeks = np.zeros((64, WEEK_COLUMNS), dtype=np.int64)
        self._used = 0
        self._totals = np.zeros(WEEKS_EVER, dtype=np.int64)
        self._listings = KeyIndex()
        self._listed_since = np.zeros(16, dtype=np.int64)
        self._stores_heard: dict[int, int] = {}
        self._store_keys = KeyMemo()

    @classmethod
    def from_weeks(cls, frame: pl.DataFrame, currency: str = "USD") -> Self:
        """From rows (sku_key, week, lines, units, net, deal_lines): thousandths and minor units, int64.

        Each (sku_key, week) may stand once; order does not matter.
        """
        market = cls(currency)
        frame = frame.sort("sku_key", "week")
        table = frame.select("week", "lines", "units", "net", "deal_lines").to_numpy().astype(np.int64)
        keys, starts, lengths = np.unique(frame["sku_key"].to_numpy(), return_index=True, return_counts=True)
        market._index.add(keys)
        market._starts = _with_room(starts.astype(np.int64), len(keys))
        market._lengths = _with_room(lengths.astype(np.int64), len(keys))
        market._room = market._lengths.copy()
        market._weeks = _with_room(np.ascontiguousarray(table), len(table))
        market._used = len(table)
        np.add.at(market._totals, table[:, W_WEEK], table[:, W_LINES])
        return market

    def put(self, messages: Iterable[ProductStatistics]) -> None:
        """Take these products' statistics as they stand now, in place of what was known of them."""
        for message in messages:
            rows = [
                (w.week, w.lines, to_thousandths(w.units), to_minor(w.net, self._digits), w.deal_lines)
                for w in message.weeks
            ]
            sku_key = key_of(message.sku)
            is_new = self._index.row(sku_key) == ABSENT
            self._put_weeks(sku_key, np.array(sorted(rows), dtype=np.int64).reshape(-1, WEEK_COLUMNS))
            if self._stores_heard.get(sku_key) != len(message.stores):
                self._stores_heard[sku_key] = len(message.stores)
                week = week_of_day(epoch_seconds(message.as_of) // 86_400)
                stores = np.array([self._store_keys[store] for store in message.stores], dtype=np.int64)
                # What a first message names may have been there for years; what a later one adds is of its week.
                self.list_at(
                    np.full(len(stores), sku_key), stores, np.full(len(stores), ALWAYS if is_new else week)
                )

    def list_at(self, sku_keys: np.ndarray, store_keys: np.ndarray, since_week: np.ndarray) -> None:
        """Note that each store lists each sku since that week; what is known already keeps its week."""
        before = len(self._listings)
        rows = self._listings.add(listing_key(sku_keys, store_keys))
        self._listed_since = _with_room(self._listed_since, len(self._listings))
        fresh = rows >= before
        # Of a pair named twice the earliest week counts.
        order = np.argsort(-since_week[fresh], kind="stable")
        self._listed_since[rows[fresh][order]] = since_week[fresh][order]

    def __len__(self) -> int:
        return len(self._index)

    def tables(self) -> MarketTables:
        """The arrays for compiled code."""
        return MarketTables(
            self._index.keys,
            self._index.rows,
            self._starts,
            self._lengths,
            self._weeks,
            self._totals,
            self._listings.keys,
            self._listings.rows,
            self._listed_since,
        )

    def _put_weeks(self, sku_key: int, table: np.ndarray) -> None:
        row = int(self._index.add(np.array([sku_key], dtype=np.int64))[0])
        for name in ("_starts", "_lengths", "_room"):
            setattr(self, name, _with_room(getattr(self, name), len(self._index)))
        old = self._weeks[self._starts[row] : self._starts[row] + self._lengths[row]]
        np.subtract.at(self._totals, old[:, W_WEEK], old[:, W_LINES])
        np.add.at(self._totals, table[:, W_WEEK], table[:, W_LINES])
        if len(table) > self._room[row]:
            # The old rows are left behind; room doubles, so all that is left behind stays below what is used.
            self._starts[row] = self._used
            self._room[row] = 2 * len(table) + _SPARE_ROWS
            self._used += int(self._room[row])
            self._weeks = _with_room(self._weeks, self._used)
        self._lengths[row] = len(table)
        self._weeks[self._starts[row] : self._starts[row] + len(table)] = table


def listing_key(sku_keys: np.ndarray, store_keys: np.ndarray) -> np.ndarray:
    """One key for each pair of uniform keys, int64 [n]; the order of the two matters."""
    return sku_keys * np.int64(3) ^ store_keys


@njit(cache=True, nogil=True)
def listing_key_compiled(sku_key: int, store_key: int) -> int:
    """`listing_key` of one pair, in compiled code."""
    return sku_key * 3 ^ store_key


def _with_room(array: np.ndarray, count: int) -> np.ndarray:
    """The array, or a copy with room for `count` rows (doubling), zeros behind."""
    if len(array) >= count:
        return array
    grown = np.zeros((max(16, 2 * count), *array.shape[1:]), dtype=array.dtype)
    grown[: len(array)] = array
    return grown
