"""Displays and mailers as sorted key arrays: tens of millions of promoted items fit in memory this way."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

DISPLAY, MAILER = "display", "mailer"
SHELF_KINDS = (DISPLAY, MAILER)
ASKED_LAST_MAX = 1_000


@dataclass(frozen=True, eq=False)
class Shelf:
    """One display or mailer: it holds from `starts` up to, not including, `ends` (epoch seconds).

    `store_id` is None for all stores; `skus` are keys, sorted.
    """

    kind: str
    store_id: str | None
    starts: int
    ends: int
    skus: np.ndarray


class Shelves:
    """All shelves by store."""

    def __init__(self, shelves: list[Shelf]) -> None:
        self._of_store: dict[str | None, list[Shelf]] = defaultdict(list)
        for shelf in shelves:
            self._of_store[shelf.store_id].append(shelf)
        self._memo: dict[tuple[int, ...], np.ndarray] = {}
        self._asked_last: dict[tuple[str, str | None, int], np.ndarray] = {}

    def promoted(self, kind: str, store_id: str | None, at: int) -> np.ndarray:
        """Keys on display or in the mailer of a store at that moment, sorted: int64 [n]."""
        asked = kind, store_id, at  # a trip's shelves are asked for again and again
        if asked not in self._asked_last:
            if len(self._asked_last) >= ASKED_LAST_MAX:
                self._asked_last.clear()
            self._asked_last[asked] = self._look_up(kind, store_id, at)
        return self._asked_last[asked]

    def _look_up(self, kind: str, store_id: str | None, at: int) -> np.ndarray:
        shelves = [
            shelf
            for store in {store_id, None}
            for shelf in self._of_store.get(store, ())
            if shelf.kind == kind and shelf.starts <= at < shelf.ends
        ]
        together = tuple(sorted(id(shelf) for shelf in shelves))
        if together not in self._memo:
            arrays = [shelf.skus for shelf in shelves]
            self._memo[together] = np.unique(np.concatenate(arrays)) if arrays else np.zeros(0, np.int64)
        return self._memo[together]


def holds(ordered: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Which keys stand in a sorted array: bool [n]."""
    if not len(ordered):
        return np.zeros(len(keys), dtype=bool)
    places = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    found: np.ndarray = ordered[places] == keys
    return found
