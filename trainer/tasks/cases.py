"""A case: one question that could have been asked at a moment, with what then happened."""

from dataclasses import dataclass, replace

import numpy as np

from twin_store.evidence import Question
from twin_store.messages.decisions import Environment, QuestionKind, Subject


@dataclass(frozen=True, slots=True)
class Case:
    """One question about one customer, and its truth.

    Attributes:
        as_of: epoch seconds; whatever happened later is only in `labels`.
        labels: 0/1 a candidate or basket, or one for YES.
        weights: how many questions of the shop floor each label stands for; same length.
        matched: candidates were drawn as hard negatives, one to one with what was bought.
    """

    kind: QuestionKind
    customer_id: str
    as_of: int
    subject: Subject
    environment: Environment
    labels: tuple[int, ...]
    weights: tuple[float, ...]
    matched: bool

    @property
    def question(self) -> Question:
        """What a decider is asked."""
        return Question(self.kind, self.as_of, self.subject, self.environment)


def of_other_customers(cases: list[Case], seed: int) -> list[Case]:
    """The same cases asked of other customers' twins: a model that is right about these knows a leak."""
    shuffled = np.random.default_rng(seed).permutation(len(cases))
    customers = [cases[i].customer_id for i in shuffled.tolist()]
    swapped = []
    for i, case in enumerate(cases):
        step = 0
        while customers[(i + step) % len(cases)] == case.customer_id and step < len(cases):
            step += 1
        swapped.append(replace(case, customer_id=customers[(i + step) % len(cases)]))
    return swapped
