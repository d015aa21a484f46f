"""Places products in a space of tastes: customers' purchases reduced to a few dimensions (randomised SVD).

A customer lies at the weighted sum of what she bought, so anybody can be placed without fitting again.
"""

import numpy as np
from numba import njit

from twin_store.affinity import TASTE_DIMENSIONS

OVERSAMPLING = 8
POWER_ITERATIONS = 4
RARITY_PRIOR = 5.0  # customers added to every product's, so that the rarest do not weigh most
SEED = 7


def fit_taste(
    customers: np.ndarray, rows: np.ndarray, days: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [n, TASTE_DIMENSIONS] of n products, and how much each says about a taste [n].

    Args:
        customers: sorted; with `rows`, distinct pairs.
        rows: product numbers below n.
        days: on how many days this customer bought that product.
    """
    vectors = np.zeros((n, TASTE_DIMENSIONS))
    if not len(rows):
        return vectors, np.ones(n)
    _, people = np.unique(customers, return_inverse=True)
    count = int(people.max()) + 1
    rarity = np.log(count / (np.bincount(rows, minlength=n) + RARITY_PRIOR))
    rarity = np.maximum(rarity, 0.0) + 0.5
    weights = np.log1p(days) * rarity[rows]
    weights /= np.sqrt(np.bincount(people, weights**2))[people]
    width = min(TASTE_DIMENSIONS + OVERSAMPLING, n, count)
    basis = np.random.default_rng(SEED).standard_normal((n, width))
    for _ in range(POWER_ITERATIONS):
        basis = np.linalg.qr(_multiply(people, rows, weights, basis, count))[0]
        basis = np.linalg.qr(_multiply(rows, people, weights, basis, n))[0]
    image = np.linalg.qr(_multiply(people, rows, weights, basis, count))[0]
    left, _, _ = np.linalg.svd(_multiply(rows, people, weights, image, n), full_matrices=False)
    kept = min(TASTE_DIMENSIONS, left.shape[1])
    vectors[:, :kept] = left[:, :kept]
    return vectors, rarity


@njit(cache=True, nogil=True)
def _multiply(
    left: np.ndarray, right: np.ndarray, weights: np.ndarray, dense: np.ndarray, n: int
) -> np.ndarray:
    """The sparse matrix (left, right, weight) with n rows, times `dense`."""
    out = np.zeros((n, dense.shape[1]))
    for i in range(left.shape[0]):
        for c in range(dense.shape[1]):
            out[left[i], c] += weights[i] * dense[right[i], c]
    return out
