"""Bought before: yes to all that she ever bought, no to the rest."""

import numpy as np

from trainer.fidelity.baselines.baskets import Baskets


class BoughtBefore:
    """See the module and `ItemScorer`."""

    name = "bought before"

    def __init__(self, baskets: Baskets) -> None:
        self._baskets = baskets

    def scores(self, customer_id: str, as_of: int) -> np.ndarray:
        """1 for what she bought, else 0."""
        out = np.zeros(len(self._baskets.skus))
        for basket in self._baskets.before(customer_id, as_of):
            out[basket] = 1.0
        return out
