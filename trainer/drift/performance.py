"""How the answers of a window did: sums that add up, over customers as the unit that is independent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

OPTIONS_MIN = 300
CUSTOMERS_MIN = 15
ECE_BINS = 10  # by probability, so that bins of several parts add up
ADWIN_DELTA = 0.002
RECENT_MAX = 1_000


@dataclass
class Tally:
    """Settled options of one version in one window.

    Attributes:
        by_customer: [options, sum of residuals, sum of excess] of each customer. A residual is truth less
            probability; the excess is the squared error less p (1 - p), which is what a true probability would give.
        bins: [options, sum of probabilities, sum of truths] by probability, ECE_BINS of them.
        brier: sum of squared errors.
    """

    by_customer: dict[str, list[float]] = field(default_factory=dict)
    bins: list[list[float]] = field(default_factory=lambda: [[0.0, 0.0, 0.0] for _ in range(ECE_BINS)])
    brier: float = 0.0

    @property
    def options(self) -> int:
        """How many."""
        return int(sum(row[0] for row in self.bins))

    def add(self, customer: str, probabilities: Sequence[float], truths: Sequence[int]) -> None:
        """Count an outcome."""
        row = self.by_customer.setdefault(customer, [0.0, 0.0, 0.0])
        for p, truth in zip(probabilities, truths, strict=True):
            error = (p - truth) ** 2
            row[0] += 1
            row[1] += truth - p
            row[2] += error - p * (1 - p)
            self.brier += error
            place = self.bins[min(ECE_BINS - 1, int(p * ECE_BINS))]
            place[0] += 1
            place[1] += p
            place[2] += truth

    def add_all(self, others: Iterable[Tally]) -> Tally:
        """These and all of those."""
        for other in others:
            self.brier += other.brier
            for customer, more in other.by_customer.items():
                row = self.by_customer.setdefault(customer, [0.0, 0.0, 0.0])
                row[:] = [a + b for a, b in zip(row, more, strict=True)]
            for mine, theirs in zip(self.bins, other.bins, strict=True):
                mine[:] = [a + b for a, b in zip(mine, theirs, strict=True)]
        return self

    def is_enough(self) -> bool:
        """Whether it has the samples that a verdict takes."""
        return self.options >= OPTIONS_MIN and len(self.by_customer) >= CUSTOMERS_MIN

    def mean(self, column: int) -> tuple[float, float]:
        """The mean of residuals (1) or excess (2), and its standard error over customers."""
        rows = list(self.by_customer.values())
        n = sum(row[0] for row in rows)
        mean = sum(row[column] for row in rows) / n
        spread = sum((row[column] - mean * row[0]) ** 2 for row in rows)
        return mean, math.sqrt(spread * len(rows) / max(1, len(rows) - 1)) / n

    def ece(self) -> float:
        """Expected calibration error over bins of equal width."""
        return sum(abs(p - t) for _, p, t in self.bins) / max(1, self.options)


def z_against(now: tuple[float, float], before: tuple[float, float]) -> float:
    """How far two means are apart, in standard errors of their difference."""
    error = math.hypot(now[1], before[1])
    return (now[0] - before[0]) / error if error > 0 else 0.0


class ChangeDetector:
    """ADWIN over the mean residuals of outcomes, one a call. What it remembers is `recent`, so it can be begun anew."""

    def __init__(self, recent: Iterable[float] = ()) -> None:
        from river.drift import ADWIN

        self._adwin = ADWIN(delta=ADWIN_DELTA)
        self.recent: list[float] = []
        for value in recent:
            self.add(value)

    def add(self, residual: float) -> bool:
        """Take one in; whether the mean has changed."""
        self.recent = [*self.recent, round(residual, 4)][-RECENT_MAX:]
        self._adwin.update(residual)
        if self._adwin.drift_detected:
            self.recent = self.recent[-int(self._adwin.width) :]
            return True
        return False
