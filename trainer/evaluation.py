"""How good probabilities are: ranking, squared error, calibration. Pure numpy.

All take truths 0/1 [n], probabilities [n], and weights [n] or None.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ECE_BINS = 15
BOOTSTRAP_ROUNDS = 500


def auc(truths: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Area under the ROC curve, ties counting half; NaN where only one class stands."""
    w = np.ones(len(truths)) if weights is None else weights
    order = np.argsort(probabilities, kind="stable")
    p, t, w = probabilities[order], truths[order], w[order]
    _, group = np.unique(p, return_inverse=True)
    positive = np.bincount(group, w * t)
    negative = np.bincount(group, w * (1 - t))
    total = positive.sum() * negative.sum()
    if total <= 0:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / total)


def brier(truths: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean squared error."""
    return float(np.average((probabilities - truths) ** 2, weights=weights))


def log_loss(truths: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean negative log likelihood."""
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return float(np.average(-np.where(truths > 0, np.log(p), np.log1p(-p)), weights=weights))


def ece(truths: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Expected calibration error over ECE_BINS bins of equal size: mean of |said - was|."""
    curve = reliability(truths, probabilities, weights)
    return sum(mass * abs(said - was) for said, was, mass in curve) / sum(mass for _, _, mass in curve)


def reliability(
    truths: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None
) -> list[tuple[float, float, float]]:
    """The calibration curve in ECE_BINS bins of equal size: mean probability, share true, weight; lowest first."""
    w = np.ones(len(truths)) if weights is None else weights
    curve = []
    for rows in np.array_split(np.argsort(probabilities, kind="stable"), ECE_BINS):
        mass = float(w[rows].sum())
        if mass > 0:
            said = float(np.average(probabilities[rows], weights=w[rows]))
            curve.append((said, float(np.average(truths[rows], weights=w[rows])), mass))
    return curve


def hit_rate(truths: np.ndarray, probabilities: np.ndarray, cases: np.ndarray) -> float:
    """Share of cases of which the most probable option is true; ties go to the first option."""
    order = np.lexsort((np.arange(len(cases)), -probabilities, cases))
    first = order[np.unique(cases[order], return_index=True)[1]]
    return float(truths[first].mean())


def interval(
    measure: Callable[[np.ndarray, np.ndarray], float],
    truths: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    seed: int = 0,
) -> tuple[float, float]:
    """A 95 % bootstrap interval of a measure; whole groups (cases, customers) are drawn, not rows."""
    drawn = _Draws(groups)
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(BOOTSTRAP_ROUNDS):
        rows = drawn.rows(generator)
        found.append(measure(truths[rows], probabilities[rows]))
    return _middle(found)


@dataclass(frozen=True)
class Scored:
    """Probabilities [n] with their truths [n] and the group of each [n], such as its customer."""

    truths: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray


def difference_interval(
    measure: Callable[[np.ndarray, np.ndarray], float],
    first: Scored,
    second: Scored,
    is_paired: bool,
    seed: int = 0,
) -> tuple[float, float]:
    """A 95 % bootstrap interval of how much greater a measure is for `second`, NaN where there is none.

    `is_paired`: both are about the same rows in the same order. They are then drawn together, which takes out what is
    common to them; else each by itself.
    """
    of_first, of_second = _Draws(first.groups), _Draws(second.groups)
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(BOOTSTRAP_ROUNDS):
        rows = of_first.rows(generator)
        others = rows if is_paired else of_second.rows(generator)
        found.append(
            measure(second.truths[others], second.probabilities[others])
            - measure(first.truths[rows], first.probabilities[rows])
        )
    return _middle(found)


class _Draws:
    """Bootstrap samples of whole groups."""

    def __init__(self, groups: np.ndarray) -> None:
        _, member = np.unique(groups, return_inverse=True)
        self._rows = np.split(np.argsort(member, kind="stable"), np.cumsum(np.bincount(member))[:-1])

    def rows(self, generator: np.random.Generator) -> np.ndarray:
        """Row numbers of as many groups as there are, drawn with replacement."""
        drawn = generator.integers(len(self._rows), size=len(self._rows))
        return np.concatenate([self._rows[group] for group in drawn])


def _middle(found: list[float]) -> tuple[float, float]:
    """95 % of them, without those that are NaN; NaN if all are."""
    if np.isnan(found).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


def summary(
    truths: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, float | int]:
    """The measures by name, with the number of rows and the share that was true."""
    return {
        "n": len(truths),
        "base_rate": float(np.average(truths, weights=weights)),
        "auc": auc(truths, probabilities, weights),
        "brier": brier(truths, probabilities, weights),
        "ece": ece(truths, probabilities, weights),
        "log_loss": log_loss(truths, probabilities, weights),
    }
