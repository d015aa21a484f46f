"""Popularity: what was in most baskets of everybody so far, the same for every customer."""

import numpy as np

from trainer.fidelity.baselines.baskets import Baskets
from twin_store.messages.codec import SECONDS_PER_DAY


class Popularity:
    """See the module and `ItemScorer`. Counted once a day, and every day kept: cases come in no order of time."""

    name = "popularity"

    def __init__(self, baskets: Baskets) -> None:
        self._baskets = baskets
        self._days: dict[int, np.ndarray] = {}

    def scores(self, customer_id: str, as_of: int, rows: np.ndarray | None = None) -> np.ndarray:
        """The share of each product in all that was bought before the day of `as_of`."""
        day = as_of // SECONDS_PER_DAY
        if day not in self._days:
            counts = self._baskets.counts_before(day * SECONDS_PER_DAY - 1)
            self._days[day] = (counts / max(counts.sum(), 1.0)).astype(np.float32)
        shares = self._days[day]
        return shares if rows is None else np.asarray(np.where(rows >= 0, shares[rows], 0.0))
