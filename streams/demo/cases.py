"""What was asked, answered and settled during the demo, read back from the topics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streams.kafka import read_to_end
from streams.settings import Settings
from streams.topics import OUTCOMES, PREDICTIONS, QUERIES
from twin_store.messages import Outcome, Prediction, Query
from twin_store.messages.codec import decode


@dataclass(frozen=True)
class Case:
    """A query with its answer, and what came of it when that is known."""

    query: Query
    prediction: Prediction | None
    outcome: Outcome | None

    @property
    def scored(self) -> bool:
        """Whether there is an answer and a truth to hold it against."""
        return (
            self.prediction is not None
            and self.prediction.status == "answered"
            and self.outcome is not None
            and not self.outcome.void
            and bool(self.outcome.truths)
        )


def read_cases(settings: Settings) -> list[Case]:
    """Every query by its id once, in order of `as_of`."""
    queries = {query.query_id: query for query in _all(settings, QUERIES, Query)}
    predictions = {answer.query_id: answer for answer in _all(settings, PREDICTIONS, Prediction)}
    outcomes = {outcome.query_id: outcome for outcome in _all(settings, OUTCOMES, Outcome)}
    cases = [Case(q, predictions.get(i), outcomes.get(i)) for i, q in queries.items()]
    return sorted(cases, key=lambda case: (case.query.as_of, case.query.query_id))


def _all(settings, topic, model):  # type: ignore[no-untyped-def]
    return [decode(model, message.value()) for message in read_to_end(settings, topic)]


def answers_of_one_query(settings: Settings) -> int:
    """The most answers any query got; 1 when each was answered once."""
    ids = [answer.query_id for answer in _all(settings, PREDICTIONS, Prediction)]
    return int(np.unique(ids, return_counts=True)[1].max()) if ids else 0
