"""UP-CF (Faggioli et al., "Recency Aware Collaborative Filtering for Next Basket Recommendation", UMAP 2020).

User-wise popularity: the share of a customer's last `RECENT` baskets that held a product. What she may buy is that of
all customers, weighted by how alike they are: an asymmetric cosine over the products ever bought, to the power of
`LOCALITY`. She herself is as alike as can be.
"""

from typing import Any

import numpy as np

from trainer.fidelity.baselines.baskets import Baskets

RECENT = 25
ASYMMETRY = 0.25
LOCALITY = 5.0


class UpCf:
    """See the module and `ItemScorer`. Others, and how alike they are to her, are as of the fit."""

    name = "UP-CF"

    def __init__(self, baskets: Baskets, fitted_until: int) -> None:
        """`fitted_until`: epoch seconds up to which others are known."""
        from scipy.sparse import csr_matrix, vstack

        self._baskets = baskets
        histories = [baskets.before(customer, fitted_until) for customer in baskets.customers]
        width = len(baskets.skus)
        self._popular: Any = vstack([csr_matrix(_recent(each, width)) for each in histories]).tocsr()
        self._held: Any = vstack([csr_matrix(_held(each, width)) for each in histories]).tocsr()
        self._sizes = np.asarray(self._held.sum(axis=1)).ravel()
        self._place = {customer: i for i, customer in enumerate(baskets.customers)}
        self._until = fitted_until
        self._last: tuple[str, np.ndarray] | None = None  # whoever asks goes customer by customer

    def scores(self, customer_id: str, as_of: int) -> np.ndarray:
        """Everybody's recent popularity, by how alike they are to her."""
        before = self._baskets.before(customer_id, as_of)
        if self._last is None or self._last[0] != customer_id:
            self._last = customer_id, self._of_others(customer_id)
        return np.asarray(_recent(before, len(self._baskets.skus)) + self._last[1])

    def _of_others(self, customer_id: str) -> np.ndarray:
        own = _held(self._baskets.before(customer_id, self._until), len(self._baskets.skus))
        shared = self._held @ own
        below = np.maximum(own.sum(), 1.0) ** ASYMMETRY * np.maximum(self._sizes, 1.0) ** (1 - ASYMMETRY)
        alike = (shared / below) ** LOCALITY
        me = self._place.get(customer_id)
        if me is not None:
            alike[me] = 0.0
        return np.asarray(self._popular.T @ alike)


def _recent(baskets: list[np.ndarray], products: int) -> np.ndarray:
    out = np.zeros(products)
    for basket in baskets[-RECENT:]:
        out[basket] += 1.0 / min(len(baskets), RECENT)
    return out


def _held(baskets: list[np.ndarray], products: int) -> np.ndarray:
    out = np.zeros(products)
    for basket in baskets:
        out[basket] = 1.0
    return out
