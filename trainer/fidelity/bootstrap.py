"""Bootstrap by customer: every measure over the same draws, so that any two deciders can be compared in pairs.

A draw is a weight for each customer: how often she was drawn. Measures take it as a weight of her rows, which spares
sorting anew for each draw.
"""

import numpy as np

ROUNDS = 300
MIDDLE = (2.5, 97.5)


class Draws:
    """Draws of the customers of some rows; `customers` are those of the rows [n]."""

    def __init__(self, customers: np.ndarray, seed: int = 0, rounds: int = ROUNDS) -> None:
        distinct, self._of_row = np.unique(customers, return_inverse=True)
        count = len(distinct)
        self.rounds = rounds
        generator = np.random.default_rng(seed)
        self._weights = generator.multinomial(count, np.full(count, 1 / count), size=rounds).astype(float)

    def means(self, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The weighted mean of values [n] in each draw: [rounds]; NaN where nothing was drawn."""
        customers = self._weights.shape[1]
        above = np.bincount(self._of_row, weights * values, minlength=customers)
        below = np.bincount(self._of_row, weights, minlength=customers)
        with np.errstate(invalid="ignore"):
            return np.asarray((self._weights @ above) / (self._weights @ below))

    def aucs(self, truths: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The area under the ROC curve in each draw: [rounds]."""
        order = np.argsort(scores, kind="stable")
        group = np.cumsum(np.diff(scores[order], prepend=scores[order][:1]) > 0)
        members, truths, weights = self._of_row[order], truths[order], weights[order]
        found = np.empty(self.rounds)
        for i in range(self.rounds):
            drawn = self._weights[i][members] * weights
            positive = np.bincount(group, drawn * truths)
            negative = np.bincount(group, drawn * (1 - truths))
            total = positive.sum() * negative.sum()
            below = np.cumsum(negative) - negative
            found[i] = (positive * (below + negative / 2)).sum() / total if total > 0 else np.nan
        return found


def middle(found: np.ndarray) -> tuple[float, float]:
    """95 % of what was found in the draws; NaN where there is nothing."""
    known = found[~np.isnan(found)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, MIDDLE)
    return float(low), float(high)
