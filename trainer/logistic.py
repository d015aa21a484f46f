"""Logistic regression on evidence: the model where data is scarce or LightGBM is not installed.

Numbers go in as signed logarithms, standardised; a missing one counts as average and has a weight of its own.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from trainer.newton import least_log_loss

L2 = 10.0  # in rows: how strongly coefficients are drawn to 0


@dataclass(frozen=True)
class Logistic:
    """A fitted model of F numbers.

    Attributes:
        centre, scale: [F] of the signed logarithms.
        coefficients: [2 F + 1]: of the numbers, of their being missing, and the offset.
    """

    centre: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray

    @classmethod
    def fit(cls, evidence: np.ndarray, labels: np.ndarray, weights: np.ndarray, l2: float = L2) -> Self:
        """Newton's method on the penalised log loss; weights are scaled to a mean of 1."""
        logs = _signed_log(evidence)
        known = ~np.isnan(logs)
        counts = np.maximum(known.sum(axis=0), 1)
        centre = np.nansum(logs, axis=0) / counts
        scale = np.sqrt(np.nansum((logs - centre) ** 2, axis=0) / counts)
        scale[scale < 1e-9] = 1.0
        model = cls(centre, scale, np.zeros(2 * evidence.shape[1] + 1))
        design = model._design(evidence)
        weights = weights / weights.mean()
        penalty = np.full(design.shape[1], l2)
        penalty[-1] = 1e-6
        found = least_log_loss(design, labels, weights, penalty, model.coefficients)
        return cls(centre, scale, found)

    def scores(self, evidence: np.ndarray) -> np.ndarray:
        """Log odds [n]; unlike a matrix product's, a row's last bits do not depend on the rows beside it."""
        return np.asarray((self._design(evidence) * self.coefficients).sum(axis=1))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name).tolist() for name in ("centre", "scale", "coefficients")}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(*(np.array(found[name]) for name in ("centre", "scale", "coefficients")))

    def _design(self, evidence: np.ndarray) -> np.ndarray:
        standard = (_signed_log(evidence) - self.centre) / self.scale
        missing = np.isnan(standard)
        offset = np.ones((len(evidence), 1))
        # Far outside what was seen a straight line knows nothing.
        return np.hstack((np.clip(np.where(missing, 0.0, standard), -6.0, 6.0), missing, offset))


def _signed_log(evidence: np.ndarray) -> np.ndarray:
    wide = evidence.astype(np.float64)
    return np.asarray(np.sign(wide) * np.log1p(np.abs(wide)))
