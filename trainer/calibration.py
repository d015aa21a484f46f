"""Scores to probabilities that are true: isotonic where there is enough to see its steps, Platt's otherwise."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

ISOTONIC_ROWS_MIN = 1_000
EDGE = 1e-4  # no probability is nearer to 0 or 1
NEWTON_STEPS = 50


@dataclass(frozen=True)
class Calibration:
    """A monotone map of scores, as points to interpolate between: ascending `scores`, their `probabilities`."""

    scores: np.ndarray
    probabilities: np.ndarray

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of scores [n]."""
        return np.interp(scores, self.scores, self.probabilities)

    def to_json(self) -> dict[str, Any]:
        """For a version's files."""
        return {"scores": self.scores.tolist(), "probabilities": self.probabilities.tolist()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(np.array(content["scores"]), np.array(content["probabilities"]))


def fit_calibration(scores: np.ndarray, truths: np.ndarray, weights: np.ndarray) -> Calibration:
    """From scores between 0 and 1 and what came true, on rows that the model was not fitted on.

    Raises:
        ValueError: if only one class stands.
    """
    if truths.min() == truths.max():
        raise ValueError("calibration needs both outcomes")
    if len(truths) < ISOTONIC_ROWS_MIN:
        return _platt(scores, truths, weights)
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=EDGE, y_max=1 - EDGE, out_of_bounds="clip")
    fitted.fit(scores, truths, sample_weight=weights)
    return Calibration(fitted.X_thresholds_.astype(np.float64), fitted.y_thresholds_.astype(np.float64))


def _platt(scores: np.ndarray, truths: np.ndarray, weights: np.ndarray) -> Calibration:
    """A logistic curve over the scores' logits, by Newton's method with a slight pull to the identity."""
    x = np.stack((logit(scores), np.ones(len(scores))), axis=1)
    beta = np.array([1.0, 0.0])
    for _ in range(NEWTON_STEPS):
        p = sigmoid(x @ beta)
        gradient = x.T @ (weights * (truths - p)) - (beta - np.array([1.0, 0.0]))
        curvature = (x * (weights * p * (1 - p))[:, None]).T @ x + np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        beta = beta + step
        if np.abs(step).max() < 1e-9:
            break
    beta[0] = max(beta[0], 1e-3)
    points = np.linspace(EDGE, 1 - EDGE, 200)
    return Calibration(points, np.clip(sigmoid(beta[0] * logit(points) + beta[1]), EDGE, 1 - EDGE))


def logit(p: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)), clipped."""
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped / (1 - clipped)))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -40, 40))))


def one_of(odds: np.ndarray, cases: np.ndarray, temperature: float) -> np.ndarray:
    """Of options of which exactly one is right: probabilities that add up to 1 within each case.

    Args:
        odds: logits of the options, [n].
        cases: [n] the number of the case, 0-based; options of one case stand together.
    """
    scaled = odds / temperature
    highest = np.full(cases.max() + 1, -np.inf)
    np.maximum.at(highest, cases, scaled)
    exponent = np.exp(scaled - highest[cases])
    return np.asarray(exponent / np.bincount(cases, exponent)[cases])


def fit_temperature(odds: np.ndarray, cases: np.ndarray, truths: np.ndarray) -> float:
    """The temperature with the least log loss."""
    grid = np.geomspace(0.3, 5.0, 60)
    right = truths > 0
    losses = [-np.log(np.maximum(one_of(odds, cases, t)[right], 1e-9)).mean() for t in grid]
    return float(grid[int(np.argmin(losses))])
