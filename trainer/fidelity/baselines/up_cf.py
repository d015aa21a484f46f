"""UP-CF (Faggioli et al., "Recency Aware Collaborative Filtering for Next Basket Recommendation", UMAP 2020).

User-wise popularity: the share of a customer's last `RECENT` baskets that held a product. What she may buy is that of
all customers, weighted by how alike they are: an asymmetric cosine over the products ever bought, to the power of
`LOCALITY`. She herself is as alike as can be.
"""

import numpy as np

from trainer.fidelity.baselines.baskets import Baskets, Held
from trainer.fidelity.baselines.neighbours import Mixture, matrix_of, products_with_all

RECENT = 25
ASYMMETRY = 0.25
LOCALITY = 5.0


class UpCf:
    """See the module and `ItemScorer`. Others, and how alike they are to her, are as of the fit."""

    name = "UP-CF"

    def __init__(self, baskets: Baskets, fitted_until: int) -> None:
        """`fitted_until`: epoch seconds up to which others are known."""
        self._baskets = baskets
        held = [baskets.held(customer, fitted_until) for customer in baskets.customers]
        ever = matrix_of(baskets, held, [np.ones(len(each.items)) for each in held])
        ever.data[:] = 1.0
        sizes = np.maximum(np.asarray(ever.sum(axis=1)).ravel(), 1.0)
        alike = np.zeros((len(held), len(held)), dtype=np.float32)
        for me, shared in products_with_all(ever):
            alike[me] = (shared / (sizes[me] ** ASYMMETRY * sizes ** (1 - ASYMMETRY))) ** LOCALITY
            alike[me, me] = 0.0  # she is added as she is at the moment of the question
        self._others = Mixture(matrix_of(baskets, held, [_recent(each) for each in held]), alike)
        self._place = {customer: i for i, customer in enumerate(baskets.customers)}

    def scores(self, customer_id: str, as_of: int, rows: np.ndarray | None = None) -> np.ndarray:
        """Everybody's recent popularity, by how alike they are to her."""
        held = self._baskets.held(customer_id, as_of)
        own = self._baskets.add_up(held.items, _recent(held), rows)
        me = self._place.get(customer_id)
        return own if me is None else np.asarray(own + self._others.of(me, rows))


def _recent(held: Held) -> np.ndarray:
    """What each item counts: [n]."""
    return np.where(held.ages < RECENT, 1.0 / max(min(held.baskets, RECENT), 1), 0.0)
