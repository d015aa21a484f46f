"""The gate of a segment's challenger: whether it may replace the champion, on the same held-out decisions.

It must be better in log loss with the whole paired interval on the better side, over all kinds together; a kind that is
worse by more than its tolerance stays with the champion. Log loss and not AUC: what is sold live is the probability.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trainer.evaluation import BOOTSTRAP_ROUNDS, auc, brier, ece, log_loss
from twin_store.messages.decisions import QuestionKind

TOLERANCE = 0.02  # share of the log loss by which a kind of question may be worse
ECE_MAX = 0.08
ALL = "all"


@dataclass(frozen=True)
class Judged:
    """Probabilities [n] with their truths [n], the customer of each [n], and how many questions each stands for [n]."""

    truths: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Measured:
    """Champion and challenger on the same rows; `low` and `high` bound 95 % of the difference in log loss."""

    options: int
    customers: int
    champion_auc: float
    challenger_auc: float
    champion_brier: float
    challenger_brier: float
    champion_ece: float
    challenger_ece: float
    champion_log_loss: float
    challenger_log_loss: float
    low: float
    high: float

    @property
    def is_no_worse(self) -> bool:
        """Whether the challenger may answer such questions."""
        is_calibrated = self.challenger_ece <= max(ECE_MAX, self.champion_ece)
        return self.challenger_log_loss <= (1 + TOLERANCE) * self.champion_log_loss and is_calibrated


@dataclass(frozen=True)
class Verdict:
    """What the gate says, with its numbers: of each kind of question that was judged, and of all together."""

    passed: bool
    reason: str
    kinds: dict[str, Measured]

    def takes(self, kind: QuestionKind) -> bool:
        """Whether the challenger's head of a kind was judged and is no worse."""
        return kind in self.kinds and self.kinds[kind].is_no_worse

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `result.json` has them."""
        return {
            "passed": self.passed,
            "reason": self.reason,
            "kinds": {kind: _plain(measured) for kind, measured in self.kinds.items()},
        }

    def in_a_line(self) -> str:
        """For people."""
        of_all = self.kinds[ALL]
        return (
            f"gate {'passed' if self.passed else 'not passed'}: {self.reason}; log loss "
            f"{of_all.champion_log_loss:.4f} to {of_all.challenger_log_loss:.4f} ({of_all.low:+.4f} to "
            f"{of_all.high:+.4f}), AUC {of_all.champion_auc:.3f} to {of_all.challenger_auc:.3f} on {of_all.options:,} "
            f"options of {of_all.customers} customers"
        )


def verdict_of(rows: Mapping[QuestionKind, tuple[Judged, Judged]]) -> Verdict:
    """The verdict on champion and challenger, by kind of question; both of a pair are about the same rows.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("there is nothing to judge on")
    kinds = {str(kind): measured(*pair) for kind, pair in rows.items()}
    taken = {kind: pair for kind, pair in rows.items() if kinds[kind].is_no_worse}
    worse = sorted(set(rows) - set(taken))
    if not taken:
        return Verdict(False, f"worse at {', '.join(worse)}", kinds | {ALL: measured(*_together(rows))})
    of_all = measured(*_together(taken))
    passed = of_all.high < 0
    reason = "better beyond chance" if passed else "not better beyond chance"
    if worse:
        reason += f"; the champion keeps {', '.join(worse)}"
    return Verdict(passed, reason, kinds | {ALL: of_all})


def measured(champion: Judged, challenger: Judged) -> Measured:
    """Both on the same rows."""
    found: dict[str, float] = {}
    for name, measure in {"auc": auc, "brier": brier, "ece": ece, "log_loss": log_loss}.items():
        for who, each in (("champion", champion), ("challenger", challenger)):
            found[f"{who}_{name}"] = measure(each.truths, each.probabilities, each.weights)
    low, high = _interval(champion, challenger)
    return Measured(
        options=len(champion.truths), customers=len(np.unique(champion.groups)), **found, low=low, high=high
    )


def _interval(champion: Judged, challenger: Judged) -> tuple[float, float]:
    """95 % of the difference in log loss, by a bootstrap over customers; both are drawn together."""
    customers, member = np.unique(champion.groups, return_inverse=True)
    losses = _losses(challenger) - _losses(champion)
    sums = np.bincount(member, champion.weights * losses)
    weights = np.bincount(member, champion.weights)
    drawn = np.random.default_rng(0).integers(len(customers), size=(BOOTSTRAP_ROUNDS, len(customers)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / weights[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def _losses(each: Judged) -> np.ndarray:
    p = np.clip(each.probabilities, 1e-6, 1 - 1e-6)
    return -np.where(each.truths > 0, np.log(p), np.log1p(-p))


def _together(rows: Mapping[QuestionKind, tuple[Judged, Judged]]) -> tuple[Judged, Judged]:
    both = []
    for place in (0, 1):
        some = [pair[place] for pair in rows.values()]
        columns = (
            np.concatenate([getattr(s, name) for s in some])
            for name in ("truths", "probabilities", "groups", "weights")
        )
        both.append(Judged(*columns))
    return both[0], both[1]


def _plain(found: Measured) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and np.isnan(value) else value
        for name, value in asdict(found).items()
    }
