"""The shop that cases are drawn from: trips, assortment, shelves, and what makes two products alike."""

from collections.abc import Collection, Iterator
from copy import copy
from typing import Self

import numpy as np
import polars as pl
from numba import njit

from trainer.tasks.history import History
from trainer.tasks.shelves import DISPLAY, MAILER, Shelves, holds
from trainer.tasks.trips import Assortment, Listings, Trips
from twin_store.messages.decisions import ProductContext

NEAREST = 8  # a match is drawn from this many products that are most alike in popularity
UNLIKE_MAX = 1.0  # summed difference of the logs of both popularities beyond which two do not match
CHUNK = 4 * NEAREST  # of them are looked at closer at a time
LOOKED_AT = 250  # on each side in order of long popularity


class Shop:
    """A history, numbered. Products are numbers in the assortment, trips numbers in `trips`."""

    def __init__(self, trips: Trips, assortment: Assortment, shelves: Shelves, listed: pl.DataFrame) -> None:
        self.trips = trips
        self.assortment = assortment
        self._shelves = shelves
        self._listings = Listings(trips, listed, assortment.skus)
        self._whose: np.ndarray | None = None

    @classmethod
    def of(cls, history: History) -> Self:
        """The shop of a history."""
        assortment = Assortment(history)
        return cls(Trips.of(history, assortment.skus), assortment, history.shelves, history.listed())

    def of_customers(self, customers: Collection[str]) -> "Shop":
        """The same shop, of which only the trips of these customers are drawn."""
        found = copy(self)
        found._whose = np.array([customer in customers for customer in self.trips.customer_ids])
        return found

    def trips_between(self, start: int, end: int, generator: np.random.Generator) -> Iterator[int]:
        """The trips with `start` <= second < `end`, each once, in random order."""
        trips = self.trips.between(start, end)
        if self._whose is not None:
            trips = trips[self._whose[self.trips.customers[trips]]]
        yield from generator.permutation(trips).tolist()

    def customer(self, trip: int) -> str:
        """Who went."""
        return self.trips.customer_ids[self.trips.customers[trip]]

    def store(self, trip: int) -> str | None:
        """Where she went."""
        return self.trips.store_ids[self.trips.stores[trip]]

    def second(self, trip: int) -> int:
        """When she paid, epoch seconds."""
        return int(self.trips.seconds[trip])

    def skus(self, items: np.ndarray) -> list[str]:
        """The skus of products."""
        return [self.assortment.skus[item] for item in items.tolist()]

    def promoted(self, trip: int, items: np.ndarray) -> np.ndarray:
        """Whether each item was on display, and in the mailer, of the trip's store then: bool [n, 2]."""
        store, second, keys = self.store(trip), self.second(trip), self.assortment.keys[items]
        flags = [holds(self._shelves.promoted(kind, store, second), keys) for kind in (DISPLAY, MAILER)]
        return np.stack(flags, axis=1)

    def context(self, trip: int, items: np.ndarray) -> list[ProductContext]:
        """What the trip's store said of each item."""
        return [
            ProductContext(sku=sku, display=display, mailer=mailer)
            for sku, (display, mailer) in zip(
                self.skus(items), self.promoted(trip, items).tolist(), strict=True
            )
        ]

    def alike(
        self,
        trip: int,
        target: int,
        pool: np.ndarray,
        banned: np.ndarray,
        generator: np.random.Generator,
        same_promotion: bool = False,
    ) -> int | None:
        """A product of `pool` that only the customer can tell from `target` at this trip, or None.

        It is about as popular in both windows, and known to the trip's store if and only if `target` is.

        Args:
            pool: by long popularity, least first.
            banned: products that may not be drawn.
            same_promotion: it must also be on display and in the mailer just as `target` is.
        """
        week = self.assortment.before(self.second(trip))
        near = _most_alike(week.long, week.short, pool, target)
        found = self._nearest(trip, target, near, banned, same_promotion)
        return int(generator.choice(found)) if len(found) else None

    def _nearest(
        self, trip: int, target: int, ordered: np.ndarray, banned: np.ndarray, same_promotion: bool
    ) -> np.ndarray:
        """The first NEAREST of `ordered` that may stand for `target`.

        What else they must have in common is dear to look up, so it is looked up for few at a time.
        """
        wanted = np.array([target])
        is_listed = self._listed(trip, wanted)[0]
        promotion = self.promoted(trip, wanted) if same_promotion else None
        found = np.zeros(0, dtype=ordered.dtype)
        for start in range(0, len(ordered), CHUNK):
            some = ordered[start : start + CHUNK]
            some = some[(some != target) & ~(some[:, None] == banned).any(axis=1)]
            some = some[self._listed(trip, some) == is_listed]
            if promotion is not None and len(some):
                some = some[(self.promoted(trip, some) == promotion).all(axis=1)]
            found = np.concatenate((found, some))
            if len(found) >= NEAREST:
                break
        return found[:NEAREST]

    def _listed(self, trip: int, items: np.ndarray) -> np.ndarray:
        return self._listings.sold_before(int(self.trips.stores[trip]), self.second(trip), items)


@njit(cache=True, nogil=True)
def _most_alike(long: np.ndarray, short: np.ndarray, pool: np.ndarray, target: int) -> np.ndarray:
    """Of the pool around the target's place in it those that are about as popular, most alike first."""
    low, high = 0, pool.shape[0]
    while low < high:  # the first that is not less popular
        between = (low + high) // 2
        if long[pool[between]] < long[target]:
            low = between + 1
        else:
            high = between
    first, last = max(0, low - LOOKED_AT), min(pool.shape[0], low + LOOKED_AT)
    near = np.empty(last - first, dtype=np.int64)
    distances = np.empty(last - first, dtype=long.dtype)
    count = 0
    for item in pool[first:last]:
        distance = abs(long[item] - long[target]) + abs(short[item] - short[target])
        if distance <= UNLIKE_MAX:
            near[count], distances[count] = item, distance
            count += 1
    return near[:count][np.argsort(distances[:count], kind="mergesort")]
