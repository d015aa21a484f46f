"""Every customer's baskets in order of time, as the baselines of next-basket prediction read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from trainer.tasks.history import History
from trainer.tasks.trips import Trips


@dataclass(frozen=True, eq=False)
class Held:
    """What somebody's baskets held up to a moment: a product once for each basket it was in, oldest first.

    Attributes:
        items: product numbers [n].
        ages: [n] how many baskets came after the item's, 0 in the newest.
        baskets: how many there are.
    """

    items: np.ndarray
    ages: np.ndarray
    baskets: int


class Baskets:
    """The baskets of a history. Products are numbers into `skus`; `rows` finds the number of a sku."""

    def __init__(self, trips: Trips, skus: list[str]) -> None:
        self.skus = skus
        self.rows: Mapping[str, int] = {sku: row for row, sku in enumerate(skus)}
        self.customers = trips.customer_ids
        self._trips = trips
        order = np.argsort(trips.customers, kind="stable")
        bounds = np.searchsorted(trips.customers[order], np.arange(len(trips.customer_ids) + 1))
        self._bounds = {
            customer: (int(bounds[i]), int(bounds[i + 1])) for i, customer in enumerate(trips.customer_ids)
        }
        self._seconds = trips.seconds[order]
        lengths = (trips.starts[1:] - trips.starts[:-1])[order]
        self._starts = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(lengths)))
        # All of one customer's items stand together.
        within = np.arange(self._starts[-1]) - np.repeat(self._starts[:-1], lengths)
        self._items = trips.items[np.repeat(trips.starts[:-1][order], lengths) + within]
        self._basket_of = np.repeat(np.arange(len(lengths)), lengths)

    @classmethod
    def of(cls, history: History) -> Self:
        """All sales of a history."""
        skus = history.lines["sku"].drop_nulls().unique().sort().to_list()
        return cls(Trips.of(history, skus), skus)

    def held(self, customer_id: str, as_of: int) -> Held:
        """Her baskets up to and including a second."""
        first, end = self._bounds.get(customer_id, (0, 0))
        count = int(np.searchsorted(self._seconds[first:end], as_of, side="right"))
        low, high = int(self._starts[first]), int(self._starts[first + count])
        return Held(self._items[low:high], first + count - 1 - self._basket_of[low:high], count)

    def counts_before(self, as_of: int) -> np.ndarray:
        """In how many baskets each product had been: float [products]."""
        end = int(np.searchsorted(self._trips.seconds, as_of, side="right"))
        items = self._trips.items[: self._trips.starts[end]]
        return np.bincount(items, minlength=len(self.skus)).astype(float)

    def add_up(self, items: np.ndarray, weights: np.ndarray | None, rows: np.ndarray | None) -> np.ndarray:
        """The weights by product: of the products asked about, or float [products] of all.

        Args:
            items: product numbers [n], in any order.
            weights: [n], None for 1 each.
            rows: product numbers [m]; -1 for those that nobody ever bought, which get 0.
        """
        if rows is None:
            return np.bincount(items, weights, minlength=len(self.skus)).astype(float)
        if not len(items):
            return np.zeros(len(rows))
        order = np.argsort(items, kind="stable")
        ordered = items[order]
        ones = np.ones(len(items)) if weights is None else weights[order]
        sums = np.concatenate((np.zeros(1), np.cumsum(ones)))
        low, high = np.searchsorted(ordered, rows, side="left"), np.searchsorted(ordered, rows, side="right")
        return np.asarray(np.where(high > low, sums[high] - sums[low], 0.0))
