"""A fitted model of one question kind: what scores, and what turns scores into probabilities."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer.calibration import Calibration, logit, one_of
from trainer.scorers import Scorer
from twin_store.messages.decisions import QuestionKind

DECIDER = "evidence"
CHOICES = ("basket_completion", "trip_choice")
"""Kinds of which exactly one option is right."""


@dataclass
class Fitted:
    """One kind's model: the scorer, and the maps from its scores to probabilities.

    Attributes:
        matched: for questions whose candidates are hard negatives, None where there were none.
        floor: for questions as a planner asks them.
        temperature: for kinds of which one option is right.
    """

    kind: QuestionKind
    scorer: Scorer
    matched: Calibration | None = None
    floor: Calibration | None = None
    temperature: float = 1.0
    metrics: dict[str, Any] = field(default_factory=dict)

    def probabilities(self, evidence: np.ndarray, cases: np.ndarray, is_matched: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of rows; see `Table`."""
        return self.probabilities_of(self.scorer(evidence), cases, is_matched)

    def probabilities_of(self, scores: np.ndarray, cases: np.ndarray, is_matched: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of scores."""
        if self.kind in CHOICES:
            return one_of(logit(scores), cases, self.temperature)
        as_matched = self.matched or self.floor
        as_floor = self.floor or self.matched
        out = scores.copy()
        if as_matched is not None and as_floor is not None:
            out = np.where(is_matched, as_matched(scores), as_floor(scores))
        return out
