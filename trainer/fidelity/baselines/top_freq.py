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

    def scores(self, customer_id: str, as_of: int) -> np.ndarray:
        """Baskets of hers with the product."""
        before = self._baskets.before(customer_id, as_of)
        items = np.concatenate([np.zeros(0, dtype=np.int64), *before])
        return np.bincount(items, minlength=len(self._baskets.skus)).astype(float)


class GlobalPersonalTopFreq:
    """GP-TopFreq; see the module and `ItemScorer`."""

    name = "GP-TopFreq"

    def __init__(self, baskets: Baskets, popularity: Popularity) -> None:
        self._personal = PersonalTopFreq(baskets)
        self._global = popularity

    def scores(self, customer_id: str, as_of: int) -> np.ndarray:
        """Her count; the share in all baskets, below 1, orders those with the same count."""
        return self._personal.scores(customer_id, as_of) + 0.99 * self._global.scores(customer_id, as_of)
