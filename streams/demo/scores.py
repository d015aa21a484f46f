"""How good the live answers were, and what becomes of them with an old twin or somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streams.demo.cases import Case
from trainer.deciders.base import Decider, Decision, DecisionInput
from trainer.evaluation import auc, brier, ece
from twin_store.dna.twin import Twin, rewind
from twin_store.evidence import Question
from twin_store.messages.codec import epoch_seconds

STALE_DAYS = 7
SECONDS_PER_DAY = 86_400
CHUNK = 256


@dataclass(frozen=True)
class Options:
    """Every settled option: what was said of it, what it was, and when that was known (epoch seconds)."""

    probabilities: np.ndarray
    truths: np.ndarray
    settled_at: np.ndarray

    @classmethod
    def of(cls, cases: Sequence[Case]) -> Options:
        """The options of scored cases, as they were answered live."""
        rows = [
            (p, t, epoch_seconds(case.outcome.settled_at))
            for case in cases
            if case.prediction is not None and case.outcome is not None
            for p, t in zip(case.prediction.probabilities, case.outcome.truths, strict=True)
        ]
        table = np.array(rows, dtype=np.float64).reshape(len(rows), 3)
        return cls(table[:, 0], table[:, 1], table[:, 2])

    def summary(self) -> dict[str, float | int | None]:
        """AUC, Brier score and expected calibration error; AUC is None where only one class was seen."""
        n = len(self.truths)
        one_class = n == 0 or self.truths.min() == self.truths.max()
        return {
            "auc": None if one_class else round(auc(self.truths, self.probabilities), 4),
            "brier": round(brier(self.truths, self.probabilities), 4) if n else None,
            "ece": round(ece(self.truths, self.probabilities), 4) if n else None,
            "n_scored": n,
            "base_rate": round(float(self.truths.mean()), 4) if n else None,
        }


TwinOf = Callable[[Case], Twin]


def stale(twins: Mapping[str, Twin]) -> TwinOf:
    """Each customer's own twin as it was `STALE_DAYS` before the question."""
    return lambda case: rewind(
        twins[case.query.customer_id], epoch_seconds(case.query.as_of) - STALE_DAYS * SECONDS_PER_DAY
    )


def somebody_elses(twins: Mapping[str, Twin]) -> TwinOf:
    """The twin of the next customer in order: the control that must collapse."""
    order = sorted(twins)
    after = dict(zip(order, [*order[1:], *order[:1]], strict=True))
    return lambda case: twins[after[case.query.customer_id]]


def asked_again(cases: Sequence[Case], decider: Decider, twin_of: TwinOf) -> Options:
    """The same questions put to the same decider about other twins."""
    kept: list[Case] = []
    answers: list[Decision] = []
    for start in range(0, len(cases), CHUNK):
        chunk = cases[start : start + CHUNK]
        inputs = [DecisionInput(question_of(case), twin_of(case)) for case in chunk]
        for case, answer in zip(chunk, decider.decide(inputs), strict=True):
            if isinstance(answer, Decision):
                kept.append(case)
                answers.append(answer)
    rows = [
        (p, t, 0.0)
        for case, answer in zip(kept, answers, strict=True)
        if case.outcome is not None
        for p, t in zip(answer.probabilities, case.outcome.truths, strict=True)
    ]
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 3)
    return Options(table[:, 0], table[:, 1], table[:, 2])


def question_of(case: Case) -> Question:
    """The question as the worker put it."""
    query = case.query
    return Question(query.kind, epoch_seconds(query.as_of), query.subject, query.environment)
