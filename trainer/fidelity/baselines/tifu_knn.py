"""TIFU-KNN (Hu et al., "Modeling Personalized Item Frequency Information for Next-basket Recommendation", SIGIR 2020).

A customer is a vector of product frequencies that fade twice: by `within` from basket to basket inside a group, by
`across` from group to group. What she may buy is a mix of her own vector and the mean of her nearest neighbours'.

The parameters are those that the authors give for their Dunnhumby set. Who her neighbours are, and what they buy, is as
of the fit; the customer herself is as she is at the moment of the question.
"""

import math
from typing import Any

import numpy as np

from trainer.fidelity.baselines.baskets import Baskets

GROUPS = 3
WITHIN, ACROSS = 0.9, 0.6
NEIGHBOURS = 900
OWN_SHARE = 0.2


def faded(baskets: list[np.ndarray], products: int) -> np.ndarray:
    """The customer's vector: float [products]."""
    out = np.zeros(products)
    if not baskets:
        return out
    size = math.ceil(len(baskets) / GROUPS)
    groups = math.ceil(len(baskets) / size)
    # Groups are filled from the newest basket back, so only the oldest may be smaller.
    for age, basket in enumerate(reversed(baskets)):
        group, place = divmod(age, size)
        held = min(size, len(baskets) - group * size)
        out[basket] += ACROSS**group * WITHIN**place / held
    return out / groups


class TifuKnn:
    """See the module and `ItemScorer`."""

    name = "TIFU-KNN"

    def __init__(self, baskets: Baskets, fitted_until: int) -> None:
        """`fitted_until`: epoch seconds up to which neighbours are known."""
        from scipy.sparse import csr_matrix, vstack

        self._baskets = baskets
        rows = [
            csr_matrix(faded(baskets.before(customer, fitted_until), len(baskets.skus)))
            for customer in baskets.customers
        ]
        self._known: Any = vstack(rows).tocsr()
        self._squares = np.asarray(self._known.multiply(self._known).sum(axis=1)).ravel()
        self._place = {customer: i for i, customer in enumerate(baskets.customers)}
        self._until = fitted_until
        self._last: tuple[str, np.ndarray] | None = None  # whoever asks goes customer by customer

    def scores(self, customer_id: str, as_of: int) -> np.ndarray:
        """Her own vector and her neighbours' mean, mixed."""
        own = faded(self._baskets.before(customer_id, as_of), len(self._baskets.skus))
        if self._last is None or self._last[0] != customer_id:
            self._last = customer_id, self._mean_of_neighbours(customer_id)
        return np.asarray(OWN_SHARE * own + (1 - OWN_SHARE) * self._last[1])

    def _mean_of_neighbours(self, customer_id: str) -> np.ndarray:
        was = faded(self._baskets.before(customer_id, self._until), len(self._baskets.skus))
        distances = self._squares - 2 * (self._known @ was)  # the square of her own is the same for all
        me = self._place.get(customer_id)
        if me is not None:
            distances[me] = np.inf
        count = min(NEIGHBOURS, len(distances) - 1)
        nearest = np.zeros(len(distances))
        nearest[np.argpartition(distances, count - 1)[:count]] = 1.0 / max(count, 1)
        return np.asarray(self._known.T @ nearest)
