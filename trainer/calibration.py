"""From a model's score (log odds) to a probability that holds: fitted on later data than the model.

`Curve` calibrates single probabilities, `Temperature` those of options of which one is true.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from trainer.evaluation import log_loss
from trainer.newton import least_log_loss, sigmoid

ISOTONIC_OUTCOMES_MIN = 400  # with fewer YES (or NO) a step function follows the noise
KNOTS_MAX = 60
RIDGE = 1e-3


@dataclass(frozen=True)
class Curve:
    """A rising curve from score to log odds: Platt's straight line, then, where data allows, isotonic knots.

    Attributes:
        slope, offset: the line.
        knots, heights: log odds after the line and after the curve, ascending; empty for the line alone.
    """

    slope: float
    offset: float
    knots: tuple[float, ...] = ()
    heights: tuple[float, ...] = ()

    @classmethod
    def fit(cls, scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Self:
        """From scores of cases that the model has not seen."""
        straight = cls.fit_line(scores, labels, weights)
        if min(labels.sum(), len(labels) - labels.sum()) < ISOTONIC_OUTCOMES_MIN:
            return straight
        line = straight.slope * scores + straight.offset
        knots, heights = _isotonic(line, labels, weights)
        return cls(straight.slope, straight.offset, tuple(knots.tolist()), tuple(heights.tolist()))

    @classmethod
    def fit_line(cls, scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Self:
        """The straight line alone."""
        return cls(*_platt(scores, labels, weights))

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities [n]. Rising, so that calibration never changes which of two is likelier."""
        line = self.slope * scores + self.offset
        if not self.knots:
            return sigmoid(line)
        inside = np.interp(line, self.knots, self.heights)
        # Beyond the outermost knots the curve goes on in parallel to the line.
        beyond = np.minimum(line - self.knots[0], 0.0) + np.maximum(line - self.knots[-1], 0.0)
        return sigmoid(inside + beyond)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"slope": self.slope, "offset": self.offset, "knots": self.knots, "heights": self.heights}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(found["slope"], found["offset"], tuple(found["knots"]), tuple(found["heights"]))


@dataclass(frozen=True)
class Temperature:
    """Options' scores, times `factor`, through a softmax: their probabilities add up to 1."""

    factor: float

    @classmethod
    def fit(cls, scores: np.ndarray, labels: np.ndarray, cases: np.ndarray) -> Self:
        """The factor with the least log loss; rows of one case stand together."""
        factors = np.geomspace(0.2, 5.0, 81)
        losses = [log_loss(labels, softmax(factor * scores, cases)) for factor in factors]
        return cls(float(factors[int(np.argmin(losses))]))

    def apply(self, scores: np.ndarray, cases: np.ndarray) -> np.ndarray:
        """Probabilities [n]."""
        return softmax(self.factor * scores, cases)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"factor": self.factor}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(found["factor"])


def softmax(scores: np.ndarray, cases: np.ndarray) -> np.ndarray:
    """Within each case; rows of one case stand together."""
    starts = np.flatnonzero(np.diff(cases, prepend=cases[0] - 1))
    lengths = np.diff(np.append(starts, len(cases)))
    powers = np.exp(scores - np.repeat(np.maximum.reduceat(scores, starts), lengths))
    return np.asarray(powers / np.repeat(np.add.reduceat(powers, starts), lengths))


def _platt(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Slope and offset with the least log loss; the slope is drawn slightly towards 1 and kept above 0."""
    design = np.stack((scores, np.ones(len(scores))), axis=1)
    wanted = np.array([1.0, 0.0])
    ridge = RIDGE * weights.sum() * np.array([1.0, 1e-6])
    found = least_log_loss(design, labels, weights, ridge, wanted)
    return max(float(found[0]), 0.05), float(found[1])


def _isotonic(line: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots of the rising curve nearest to the labels, smoothed by averaging within bins first."""
    order = np.argsort(line, kind="stable")
    cumulated = np.cumsum(weights[order])
    edges = np.searchsorted(cumulated, np.linspace(0, cumulated[-1], KNOTS_MAX + 1)[1:-1])
    bins = [rows for rows in np.split(order, np.unique(edges)) if len(rows)]
    blocks: list[list[float]] = []  # [weight, weighted YES, weighted position]
    for rows in bins:
        weight = float(weights[rows].sum())
        blocks.append([weight, float((weights * labels)[rows].sum()), float((weights * line)[rows].sum())])
        while len(blocks) > 1 and blocks[-2][1] / blocks[-2][0] >= blocks[-1][1] / blocks[-1][0]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    found = np.array(blocks)
    # Half a YES and half a NO more keep an all-NO bin away from log odds of minus infinity.
    shares = (found[:, 1] + 0.5) / (found[:, 0] + 1.0)
    heights = np.maximum.accumulate(np.log(shares / (1 - shares)))
    return found[:, 2] / found[:, 0], heights
