"""Calibration of a segment's own, on top of that of its kind: where the segment has enough cases, and where it pays.

What a kind's curve makes true of everybody may be too much of one segment and too little of another. A segment's
line turns the log odds of the kind's probability (of options of which one is true: their logarithms) into its own.
It is drawn towards leaving everything as it is, and kept only if half of the segment's cases foretell the other half
better with it.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from trainer.calibration import softmax
from trainer.evaluation import log_loss
from trainer.newton import least_log_loss, log_odds, sigmoid

CASES_MIN = 300  # of a segment
OUTCOMES_MIN = 60  # of YES and of NO among its rows
PULL = np.array([30.0, 10.0])  # rows that speak for a slope of 1, and for an offset of 0
LEAST = 1e-6
SLOPES = np.geomspace(0.5, 2.0, 61)  # that are tried where one option is true


@dataclass(frozen=True)
class SegmentLines:
    """The lines of the segments that have one.

    Attributes:
        definitions: the version of the segments (`twin_store.segments`).
        lines: (slope, offset) by segment; of options of which one is true the offset is 0.
    """

    definitions: str
    lines: dict[str, tuple[float, float]]

    @classmethod
    def fit(
        cls,
        definitions: str,
        probabilities: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        cases: np.ndarray,
        segments: np.ndarray,
        one_is_true: bool,
    ) -> Self:
        """From rows that were calibrated on, in order of time: all [n], `segments` names."""
        lines: dict[str, tuple[float, float]] = {}
        for segment in np.unique(segments).tolist():
            rows = segments == segment
            own = _Rows(probabilities[rows], labels[rows], weights[rows], cases[rows], one_is_true)
            if own.are_enough and own.gain > 0:
                lines[segment] = own.line()
        return cls(definitions, lines)

    def apply(
        self, probabilities: np.ndarray, cases: np.ndarray, segments: np.ndarray, one_is_true: bool
    ) -> np.ndarray:
        """Probabilities [n]; rows of one case stand together and are of one segment."""
        out = probabilities.copy()
        for segment, line in self.lines.items():
            rows = segments == segment
            if rows.any():
                out[rows] = _moved(probabilities[rows], cases[rows], line, one_is_true)
        return out

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"definitions": self.definitions, "lines": self.lines}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(found["definitions"], {name: (line[0], line[1]) for name, line in found["lines"].items()})


@dataclass(frozen=True, eq=False)
class _Rows:
    """One segment's rows."""

    probabilities: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    cases: np.ndarray
    one_is_true: bool

    @property
    def are_enough(self) -> bool:
        yes = int(self.labels.sum())
        return len(np.unique(self.cases)) >= CASES_MIN and min(yes, len(self.labels) - yes) >= OUTCOMES_MIN

    @property
    def gain(self) -> float:
        """How much less the log loss of each half is with the line of the other half, together."""
        early = self.cases < np.median(self.cases)
        gained = 0.0
        for fitted_on in (early, ~early):
            judged_on = self._where(~fitted_on)
            line = self._where(fitted_on).line()
            with_line = _moved(judged_on.probabilities, judged_on.cases, line, self.one_is_true)
            gained += log_loss(judged_on.labels, judged_on.probabilities, judged_on.weights)
            gained -= log_loss(judged_on.labels, with_line, judged_on.weights)
        return gained

    def line(self) -> tuple[float, float]:
        if self.one_is_true:
            losses = [
                log_loss(self.labels, _moved(self.probabilities, self.cases, (slope, 0.0), True))
                for slope in SLOPES.tolist()
            ]
            return float(SLOPES[int(np.argmin(losses))]), 0.0
        odds = log_odds(self.probabilities, LEAST)
        design = np.stack((odds, np.ones(len(odds))), axis=1)
        # Weighted rows are worth fewer than they are: the pull must not be drowned by their sum.
        worth = self.weights * self.weights.sum() / (self.weights**2).sum()
        found = least_log_loss(design, self.labels, worth, PULL, np.array([1.0, 0.0]))
        return max(float(found[0]), 0.05), float(found[1])

    def _where(self, rows: np.ndarray) -> "_Rows":
        probabilities, labels, weights, cases = (
            column[rows] for column in (self.probabilities, self.labels, self.weights, self.cases)
        )
        return _Rows(probabilities, labels, weights, cases, self.one_is_true)


def _moved(
    probabilities: np.ndarray, cases: np.ndarray, line: tuple[float, float], one_is_true: bool
) -> np.ndarray:
    slope, offset = line
    if one_is_true:
        return softmax(slope * np.log(np.maximum(probabilities, LEAST)), cases)
    return sigmoid(slope * log_odds(probabilities, LEAST) + offset)
