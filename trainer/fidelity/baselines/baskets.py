"""Every customer's baskets in order of time, as the baselines of next-basket prediction read them."""

from collections.abc import Mapping
from typing import Self

import numpy as np

from trainer.tasks.history import History
from trainer.tasks.trips import Trips


class Baskets:
    """The baskets of a history. Products are numbers into `skus`; `rows` finds the number of a sku."""

    def __init__(self, trips: Trips, skus: list[str]) -> None:
        self.skus = skus
        self.rows: Mapping[str, int] = {sku: row for row, sku in enumerate(skus)}
        self.customers = trips.customer_ids
        self._trips = trips
        order = np.argsort(trips.customers, kind="stable")
        bounds = np.searchsorted(trips.customers[order], np.arange(len(trips.customer_ids) + 1))
        self._of = {
            customer: order[bounds[i] : bounds[i + 1]] for i, customer in enumerate(trips.customer_ids)
        }

    @classmethod
    def of(cls, history: History) -> Self:
        """All sales of a history."""
        skus = history.lines["sku"].drop_nulls().unique().sort().to_list()
        return cls(Trips.of(history, skus), skus)

    def before(self, customer_id: str, as_of: int) -> list[np.ndarray]:
        """Her baskets up to and including a second, oldest first: product numbers, each once a basket."""
        trips = self._of.get(customer_id, np.zeros(0, dtype=np.int64))
        count = int(np.searchsorted(self._trips.seconds[trips], as_of, side="right"))
        return [self._trips.basket(trip) for trip in trips[:count].tolist()]

    def counts_before(self, as_of: int) -> np.ndarray:
        """In how many baskets each product had been: float [products]."""
        end = int(np.searchsorted(self._trips.seconds, as_of, side="right"))
        items = self._trips.items[: self._trips.starts[end]]
        return np.bincount(items, minlength=len(self.skus)).astype(float)
