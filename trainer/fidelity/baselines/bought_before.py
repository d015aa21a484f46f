"""Bought before: yes to all that she ever bought, no to the rest."""

import numpy as np

from trainer.fidelity.baselines.baskets import Baskets


class BoughtBefore:
    """See the module and `ItemScorer`."""

    name = "bought before"

    def __init__(self, baskets: Baskets) -> None:
        self._baskets = baskets

    def scores(self, customer_id: str, as_of: int, rows: np.ndarray | None = None) -> np.ndarray:
        """1 for what she bought, else 0."""
        held = self._baskets.held(customer_id, as_of)
        return np.minimum(self._baskets.add_up(held.items, None, rows), 1.0)
