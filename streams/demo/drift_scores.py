"""How the answers to a segment's customers did, by period: live, and asked again of the model that was not swapped."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from streams.demo.cases import Settled
from streams.demo.controls import answers_again
from streams.settings import Settings
from trainer.deciders.base import Decider
from trainer.evaluation import auc, brier, ece, log_loss

Period = tuple[datetime, datetime]


def skill(truths: np.ndarray, probabilities: np.ndarray) -> float:
    """The Brier skill score: 1 is perfect, 0 what the mean of the period itself would score, below it is worse."""
    rate = float(truths.mean())
    return 1 - brier(truths, probabilities) / max(rate * (1 - rate), 1e-9)


def scores(settled: Sequence[Settled], said: Sequence[Sequence[float]] | None = None) -> dict[str, Any]:
    """The measures over all options, None where a measure has no value."""
    truths = np.array([truth for case in settled for truth in case.outcome.truths])
    given = [case.prediction.probabilities for case in settled] if said is None else said
    probabilities = np.array([p for some in given for p in some])
    if not len(truths) or len(np.unique(truths)) < 2:
        return {"options": len(truths), "score": None}
    found = {"score": skill, "auc": auc, "brier": brier, "log_loss": log_loss, "ece": ece}
    measured = {name: round(measure(truths, probabilities), 4) for name, measure in found.items()}
    return {"options": len(truths), "true_share": round(float(truths.mean()), 4)} | measured


def of_period(settled: Sequence[Settled], customers: Collection[str], period: Period) -> list[Settled]:
    """What was asked about these customers in [start, end)."""
    start, end = period
    return [c for c in settled if c.query.customer_id in customers and start <= c.query.as_of < end]


def asked_again(settings: Settings, settled: Sequence[Settled], decider: Decider) -> dict[str, Any]:
    """The same questions about the same twins, put to a decider that did not answer them."""
    kept, said = answers_again(settings, settled, decider)
    return scores(kept, said)


def by_week(settled: Sequence[Settled], customers: Mapping[str, Collection[str]]) -> dict[str, list[Any]]:
    """By group of customers: (Monday, score) of every week that has one."""
    found: dict[str, list[Any]] = {}
    for name, whose in customers.items():
        weeks: dict[str, list[Settled]] = {}
        for case in settled:
            if case.query.customer_id in whose:
                year, week, _ = case.query.as_of.isocalendar()
                weeks.setdefault(datetime.fromisocalendar(year, week, 1).date().isoformat(), []).append(case)
        rows = [(monday, scores(some)["score"]) for monday, some in sorted(weeks.items())]
        found[name] = [[monday, score] for monday, score in rows if score is not None]
    return found
