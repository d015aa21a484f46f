"""P-TopFreq and GP-TopFreq (Li et al., "A Next Basket Recommendation Reality Check", TOIS 2023).

P-TopFreq ranks by how many of her baskets held the product. GP-TopFreq fills up what that leaves empty with what is
most frequent with everybody.
"""

import numpy as np

from trainer.fidelity.baselines.baskets import Baskets
from trainer.fidelity.baselines.popularity import Popularity


class PersonalTopFreq:
    """P-TopFreq; see the module and `ItemScorer`."""

    name = "P-TopFreq"

    def __init__(self, baskets: Baskets) -> None:
        self._baskets = baskets

    def scores(self, customer_id: str, as_of: int, rows: np.ndarray | None = None) -> np.ndarray:
        """Baskets of hers with the product."""
        return self._baskets.add_up(self._baskets.held(customer_id, as_of).items, None, rows)


class GlobalPersonalTopFreq:
    """GP-TopFreq; see the module and `ItemScorer`."""

    name = "GP-TopFreq"

    def __init__(self, baskets: Baskets, popularity: Popularity) -> None:
        self._personal = PersonalTopFreq(baskets)
        self._global = popularity

    def scores(self, customer_id: str, as_of: int, rows: np.ndarray | None = None) -> np.ndarray:
        """Her count; the share in all baskets, below 1, orders those with the same count."""
        own = self._personal.scores(customer_id, as_of, rows)
        return own + 0.99 * self._global.scores(customer_id, as_of, rows)
