"""How good answers are: every settled option with what was said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streams.demo.cases import Settled
from trainer.evaluation import auc, brier, ece
from twin_store.messages.codec import epoch_seconds


@dataclass(frozen=True)
class Options:
    """Settled options, [n] each: the probability said, the truth, the kind of question, the epoch second at which
    the truth was known."""

    probabilities: np.ndarray
    truths: np.ndarray
    kinds: np.ndarray
    settled_at: np.ndarray

    @classmethod
    def of(cls, settled: Sequence[Settled], said: Sequence[Sequence[float]] | None = None) -> Options:
        """The options of settled cases, as they were answered live or with what was `said` instead."""
        rows = [
            (p, t, case.query.kind, epoch_seconds(case.outcome.settled_at))
            for place, case in enumerate(settled)
            for p, t in zip(
                case.prediction.probabilities if said is None else said[place],
                case.outcome.truths,
                strict=True,
            )
        ]
        p, t, kinds, at = zip(*rows, strict=True) if rows else ((), (), (), ())
        return cls(np.array(p), np.array(t, dtype=np.int64), np.array(kinds, dtype=str), np.array(at))

    def __len__(self) -> int:
        return len(self.truths)

    def of_kind(self, kind: str) -> Options:
        """The options of one kind of question."""
        rows = self.kinds == kind
        return Options(self.probabilities[rows], self.truths[rows], self.kinds[rows], self.settled_at[rows])

    def auc(self) -> float | None:
        """How often the option that came true was given more than one that did not, both of one kind of question.

        Across kinds it would measure that one kind comes true more often than another. None without such pairs.
        """
        total = pairs = 0.0
        for kind in np.unique(self.kinds):
            some = self.of_kind(str(kind))
            count = float(some.truths.sum()) * float((1 - some.truths).sum())
            if count:
                total += count * auc(some.truths, some.probabilities)
                pairs += count
        return round(total / pairs, 4) if pairs else None

    def summary(self) -> dict[str, Any]:
        """AUC, Brier score, expected calibration error, how many, and the share that came true."""
        if not len(self):
            return {"auc": None, "brier": None, "ece": None, "n_scored": 0, "base_rate": None}
        return {
            "auc": self.auc(),
            "brier": round(brier(self.truths, self.probabilities), 4),
            "ece": round(ece(self.truths, self.probabilities), 4),
            "n_scored": len(self),
            "base_rate": round(float(self.truths.mean()), 4),
        }
