"""A teacher for a small model: the evidence model's probabilities, of cases that it was not fitted on.

Hard labels of purchases are mostly noise; a small model that sees what a fitted one expects needs a third of the cases.
"""

import numpy as np

from trainer.boosting import fit_boosted
from trainer.calibration import Curve, Temperature
from trainer.heads import ONE_IS_TRUE
from trainer.logistic import Logistic
from trainer.tasks.table import Table

FOLDS = 2


def out_of_fold(table: Table, customers: np.ndarray, seed: int, threads: int = 1) -> np.ndarray:
    """Probabilities float [rows] by models fitted on other customers' rows.

    Args:
        customers: of each row.
    """
    _, numbers = np.unique(customers, return_inverse=True)
    fold_of = np.random.default_rng([seed, 7]).permutation(numbers.max() + 1) % FOLDS
    folds = fold_of[numbers]
    scores = np.zeros(len(table))
    for fold in range(FOLDS):
        rest, these = table.where(folds != fold), folds == fold
        if len(np.unique(rest.labels)) < 2 or not these.any():
            return table.labels.astype(np.float64)  # nothing can be learnt of one outcome
        boosted = fit_boosted(rest.evidence, rest.labels, rest.weights, seed, threads)
        model = boosted or Logistic.fit(rest.evidence, rest.labels, rest.weights)
        scores[these] = model.scores(table.evidence[these])
    if table.kind in ONE_IS_TRUE:
        return Temperature.fit(scores, table.labels, table.cases).apply(scores, table.cases)
    return Curve.fit_line(scores, table.labels, table.weights).apply(scores)


def mixed(table: Table, taught: np.ndarray, share: float) -> np.ndarray:
    """Targets float [rows]: the teacher's by `share`, the truth by the rest."""
    return share * taught + (1 - share) * table.labels
