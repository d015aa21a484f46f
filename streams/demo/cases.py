"""What was asked, answered and settled during the demo, read back from the topics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TypeVar

from streams.kafka import read_to_end
from streams.settings import Settings
from streams.topics import OUTCOMES, PREDICTIONS, QUERIES, Topic
from twin_store.messages import Message, Outcome, Prediction, Query
from twin_store.messages.codec import decode

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Case:
    """A query with its answer, and what came of it when that is known."""

    query: Query
    prediction: Prediction | None
    outcome: Outcome | None

    @property
    def is_answered(self) -> bool:
        """Whether it has probabilities."""
        return self.prediction is not None and self.prediction.status == "answered"


@dataclass(frozen=True)
class Settled:
    """A case with an answer and a truth to hold it against."""

    query: Query
    prediction: Prediction
    outcome: Outcome


@dataclass(frozen=True)
class Cases:
    """All of them. `answers_max` is the most answers that any query got; 1 when each was answered once."""

    cases: list[Case]
    answers_max: int

    @classmethod
    def read(cls, settings: Settings) -> Cases:
        """Every query by its id once, in order of `as_of`."""
        queries = {query.query_id: query for query in _all(settings, QUERIES, Query)}
        answers = _all(settings, PREDICTIONS, Prediction)
        predictions = {answer.query_id: answer for answer in answers}
        outcomes = {outcome.query_id: outcome for outcome in _all(settings, OUTCOMES, Outcome)}
        found = [Case(query, predictions.get(i), outcomes.get(i)) for i, query in queries.items()]
        counts = Counter(answer.query_id for answer in answers)
        return cls(
            sorted(found, key=lambda case: (case.query.as_of, case.query.query_id)),
            max(counts.values(), default=0),
        )

    def settled(self) -> list[Settled]:
        """Those that can be scored, in order of `as_of`."""
        return [
            Settled(case.query, case.prediction, case.outcome)
            for case in self.cases
            if case.is_answered
            and case.prediction is not None
            and case.outcome is not None
            and not case.outcome.void
            and case.outcome.truths
        ]


def _all(settings: Settings, topic: Topic, model: type[M]) -> list[M]:
    return [decode(model, message.value()) for message in read_to_end(settings, topic)]
