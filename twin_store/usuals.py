"""What is usual of each product, as all customers' receipts say: its shelf price, and how much of it goes on deals.

Filled from `twins.products` messages and kept in arrays by 64-bit key: 16 bytes a product, and its place in the index.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from twin_store.key_index import KeyIndex
from twin_store.messages.codec import minor_digits, to_minor
from twin_store.messages.profiles import ProductStatistics
from twin_store.symbols import key_of

PRICED_MIN = 5  # products of a group with a known price; among fewer a percentile says nothing


class UsualTables(NamedTuple):
    """What is usual, by row.

    Attributes:
        keys: sku keys.
        price: the median shelf price of one unit, minor units; NaN where unknown.
        deal_share: the share of the product's lines that were on a deal; NaN where unknown.
    """

    keys: np.ndarray
    price: np.ndarray
    deal_share: np.ndarray


class Usuals:
    """The usuals of all products. A sku whose statistics were deleted keeps its row and becomes unknown."""

    def __init__(self, currency: str = "USD") -> None:
        self._digits = minor_digits(currency)
        self._index = KeyIndex()
        self._price = np.full(16, np.nan)
        self._deal_share = np.full(16, np.nan)

    def update(self, changes: Mapping[str, ProductStatistics | None]) -> None:
        """Take what is said of these skus as it stands now; None deletes one."""
        rows = self._index.add(np.array([key_of(sku) for sku in changes], dtype=np.int64))
        self._reserve(len(self._index))
        usuals = [self._read(statistics) for statistics in changes.values()]
        self._price[rows], self._deal_share[rows] = np.array(usuals).reshape(-1, 2).T

    def __len__(self) -> int:
        return len(self._index)

    def tables(self) -> UsualTables:
        """The arrays, valid until the next `update`."""
        count = len(self)
        return UsualTables(self._index.in_order(), self._price[:count], self._deal_share[:count])

    def _read(self, statistics: ProductStatistics | None) -> tuple[float, float]:
        if statistics is None:
            return np.nan, np.nan
        price = to_minor(statistics.price_median, self._digits) if statistics.price_median else 0
        # What costs less than half a minor unit has no price to compare with.
        return price if price > 0 else np.nan, statistics.deal_share if statistics.lines > 0 else np.nan

    def _reserve(self, count: int) -> None:
        capacity = len(self._price)
        while capacity < count:
            capacity *= 2
        extra = np.full(capacity - len(self._price), np.nan)
        if len(extra):
            self._price = np.concatenate((self._price, extra))
            self._deal_share = np.concatenate((self._deal_share, extra))


def price_tiers(groups: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """Each product's price percentile in its group: 0 the cheapest, 1 the dearest, equal prices the mean of theirs.

    Args:
        groups: int64 [n], below 0 where unknown.
        prices: float64 [n], NaN where unknown.

    Returns:
        float64 [n], NaN where either is unknown and in groups with fewer than `PRICED_MIN` known prices.
    """
    tiers = np.full(len(prices), np.nan)
    known = np.flatnonzero((groups >= 0) & ~np.isnan(prices))
    order = known[np.lexsort((prices[known], groups[known]))]
    group, price = groups[order], prices[order]
    group_starts = np.flatnonzero(_begins(group))
    group_sizes = np.diff(group_starts, append=len(order))
    tie_starts = np.flatnonzero(_begins(group) | _begins(price))
    tie_sizes = np.diff(tie_starts, append=len(order))
    place = np.repeat(tie_starts + (tie_sizes - 1) / 2, tie_sizes) - np.repeat(group_starts, group_sizes)
    size = np.repeat(group_sizes, group_sizes)
    enough = size >= PRICED_MIN
    tiers[order[enough]] = place[enough] / (size[enough] - 1)
    return tiers


def _begins(values: np.ndarray) -> np.ndarray:
    """Where a value differs from the one before it; the first always does."""
    return np.concatenate((np.ones(min(1, len(values)), dtype=bool), values[1:] != values[:-1]))
