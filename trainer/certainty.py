"""How sure a probability is: an interval for it, and when there is too little evidence to speak.

The interval is for the share that comes true among answers like this one: as probable, about a customer as well
known. It is Wilson's, for as many answers as the calibration slice had of that sort: wide where few were seen.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

BINS = 15
Z = 1.959964  # 95 %
THIN_TRIPS = 12  # shopping days below which a customer counts as little known
TRIPS_MIN = 3  # shopping days below which the decider abstains


@dataclass(frozen=True)
class Certainty:
    """How many answers of each sort there were.

    Attributes:
        edges: probabilities between the bins, ascending: [BINS - 1].
        counts: answers of little known and of well known customers by bin, [2][BINS]; weighted ones count as many as
            they are worth.
    """

    edges: tuple[float, ...]
    counts: tuple[tuple[float, ...], tuple[float, ...]]

    @classmethod
    def fit(cls, probabilities: np.ndarray, weights: np.ndarray, trips: np.ndarray) -> Self:
        """From answers that were calibrated on: all [n]; `trips` NaN counts as little known."""
        edges = np.quantile(probabilities, np.arange(1, BINS) / BINS)
        bins = np.searchsorted(edges, probabilities, side="right")
        well = _is_well_known(trips)
        counts = []
        for rows in (~well, well):
            total = np.bincount(bins[rows], weights[rows], minlength=BINS)
            squares = np.bincount(bins[rows], weights[rows] ** 2, minlength=BINS)
            counts.append(tuple((total**2 / np.maximum(squares, 1e-12)).tolist()))
        return cls(tuple(edges.tolist()), (counts[0], counts[1]))

    def intervals(self, probabilities: np.ndarray, trips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """95 % intervals: lows [n] and highs [n], the probability between them."""
        bins = np.searchsorted(self.edges, probabilities, side="right")
        count = np.maximum(np.array(self.counts)[_is_well_known(trips).astype(int), bins], 1.0)
        middle = (probabilities + Z**2 / (2 * count)) / (1 + Z**2 / count)
        spread = probabilities * (1 - probabilities) / count + Z**2 / (4 * count**2)
        half = Z / (1 + Z**2 / count) * np.sqrt(spread)
        return np.minimum(middle - half, probabilities), np.maximum(middle + half, probabilities)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"edges": self.edges, "counts": self.counts}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Inverse of `to_json`."""
        little, well = found["counts"]
        return cls(tuple(found["edges"]), (tuple(little), tuple(well)))


def why_abstain(trips: float) -> str | None:
    """Why there should be no answer about a customer with so many shopping days, None if there should."""
    known = 0 if np.isnan(trips) else int(trips)
    if known >= TRIPS_MIN:
        return None
    return f"thin evidence: {known} shopping days in the last 53 weeks, fewer than {TRIPS_MIN}"


def _is_well_known(trips: np.ndarray) -> np.ndarray:
    return np.asarray(np.nan_to_num(trips) >= THIN_TRIPS)
