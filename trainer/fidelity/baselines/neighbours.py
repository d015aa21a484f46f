"""What other customers add to a score: a weighted sum of their vectors, as two of the baselines have it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from trainer.fidelity.baselines.baskets import Baskets, Held

AT_ONCE = 256  # customers whose likeness to all others is worked out together


def matrix_of(baskets: Baskets, held: list[Held], weights: list[np.ndarray]) -> Any:
    """The customers' vectors as a sparse matrix [customers, products]: weights of the same product are added."""
    from scipy.sparse import csr_matrix

    rows = np.repeat(np.arange(len(held)), [len(each.items) for each in held])
    columns = np.concatenate([np.zeros(0, dtype=np.int64), *(each.items for each in held)])
    values = np.concatenate([np.zeros(0), *weights])
    return csr_matrix((values, (rows, columns)), shape=(len(held), len(baskets.skus)))


def products_with_all(matrix: Any) -> Iterator[tuple[int, np.ndarray]]:
    """By customer, the inner products of her vector with those of all: (her number, float [customers])."""
    turned = matrix.T.tocsc()
    for start in range(0, matrix.shape[0], AT_ONCE):
        found = (matrix[start : start + AT_ONCE] @ turned).toarray()
        yield from enumerate(found, start)


class Mixture:
    """Sums of everybody's vectors, weighted by customer."""

    def __init__(self, vectors: Any, weights: np.ndarray) -> None:
        """`vectors` sparse [customers, products]; `weights[i, j]` is what customer j counts for customer i."""
        self._vectors = vectors.tocsr()
        self._by_product = vectors.tocsc()
        self._weights = weights
        self._asked: tuple[np.ndarray, Any] | None = None  # an audience is asked about the same products

    def of(self, customer: int, rows: np.ndarray | None) -> np.ndarray:
        """For a customer by number: of the products asked about (-1: 0), or of all."""
        weights = self._weights[customer]
        if rows is None:
            return np.asarray(self._vectors.T @ weights)
        if self._asked is None or self._asked[0] is not rows:
            self._asked = rows, self._by_product[:, np.maximum(rows, 0)]
        return np.where(rows >= 0, self._asked[1].T @ weights, 0.0)
