"""TIFU-KNN (Hu et al., "Modeling Personalized Item Frequency Information for Next-basket Recommendation", SIGIR 2020).

A customer is a vector of product frequencies that fade twice: by `within` from basket to basket inside a group, by
`across` from group to group. What she may buy is a mix of her own vector and the mean of her nearest neighbours'.

The parameters are those that the authors give for their Dunnhumby set. Who her neighbours are, and what they buy, is as
of the fit; the customer herself is as she is at the moment of the question.
"""

import math
from typing import Any

import numpy as np

from trainer.fidelity.baselines.baskets import Baskets, Held
from trainer.fidelity.baselines.neighbours import Mixture, matrix_of, products_with_all

GROUPS = 3
WITHIN, ACROSS = 0.9, 0.6
NEIGHBOURS = 900
OWN_SHARE = 0.2


def faded(held: Held) -> np.ndarray:
    """What each item counts: [n]; a product's number in the customer's vector is the sum of its items'."""
    if not held.baskets:
        return np.zeros(0)
    size = math.ceil(held.baskets / GROUPS)
    groups = math.ceil(held.baskets / size)
    # Groups are filled from the newest basket back, so only the oldest may be smaller.
    group, place = np.divmod(held.ages, size)
    sizes = np.minimum(size, held.baskets - group * size)
    return np.asarray(ACROSS**group * WITHIN**place / sizes / groups)


def means_of_nearest(vectors: Any, neighbours: int) -> Mixture:
    """By customer the mean of her nearest neighbours' vectors, by Euclidean distance, herself left out."""
    squares = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
    customers = vectors.shape[0]
    count = min(neighbours, customers - 1)
    weights = np.zeros((customers, customers), dtype=np.float32)
    for me, products in products_with_all(vectors):
        distances = squares - 2 * products  # the square of her own is the same for all
        distances[me] = np.inf
        if count:
            weights[me, np.argpartition(distances, count - 1)[:count]] = 1 / count
    return Mixture(vectors, weights)


class TifuKnn:
    """See the module and `ItemScorer`."""

    name = "TIFU-KNN"

    def __init__(self, baskets: Baskets, fitted_until: int) -> None:
        """`fitted_until`: epoch seconds up to which neighbours are known."""
        self._baskets = baskets
        held = [baskets.held(customer, fitted_until) for customer in baskets.customers]
        self._means = means_of_nearest(matrix_of(baskets, held, [faded(each) for each in held]), NEIGHBOURS)
        self._place = {customer: i for i, customer in enumerate(baskets.customers)}

    def scores(self, customer_id: str, as_of: int, rows: np.ndarray | None = None) -> np.ndarray:
        """Her own vector and her neighbours' mean, mixed; of somebody unknown there is neither."""
        held = self._baskets.held(customer_id, as_of)
        own = self._baskets.add_up(held.items, faded(held), rows)
        me = self._place.get(customer_id)
        if me is None:
            return OWN_SHARE * own
        return np.asarray(OWN_SHARE * own + (1 - OWN_SHARE) * self._means.of(me, rows))
