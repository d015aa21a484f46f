"""Queries of one partition with their twins to the decider, and predictions back: one for each, whatever happens."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from streams.worker.answers import Author, answered, expired, rejected
from streams.worker.metrics import WorkerMetrics
from streams.worker.partition import PartitionState, Waiting
from trainer.deciders.base import Decider, Decision, DecisionInput, Refusal
from twin_store.dna.layout import RECEIPT_DAYS
from twin_store.dna.twin import Twin, rewind
from twin_store.evidence import Question
from twin_store.messages import Query
from twin_store.outcomes import has_forgotten

NO_MODEL = "no model version is there yet; fit one with `twins train evidence`"
ERASED = "the customer was erased after this moment"
MOVED_ON = f"the twin has moved on by more than the {RECEIPT_DAYS} days that it can be taken back"
NO_TWIN = "nothing was known of the customer: answered from the products alone"
BEHIND = "the twin had not come to this moment in time: answered from an earlier one"
_log = logging.getLogger(__name__)


class Asked(NamedTuple):
    """A query that goes to the decider. The twin is as of the query's moment."""

    query: Query
    as_of: int
    twin: Twin
    degraded: str | None


def answer(
    state: PartitionState, ready: Sequence[Waiting], decider: Decider | None, metrics: WorkerMetrics
) -> list[Any]:
    """The predictions of these queries, in no order."""
    by = Author.of(decider, state.changelog, state.number, state.replica.position)
    now = datetime.now(UTC)
    predictions: list[Any] = []
    asked: list[Asked] = []
    for waiting in ready:
        query = waiting.query
        if now > query.deadline:
            predictions.append(expired(query, by, now))
            continue
        twin = state.replica.twin(query.customer_id)
        reason = _reason_against(state, waiting, twin, decider)
        if reason is not None:
            predictions.append(rejected(query, by, now, reason))
            continue
        then = rewind(twin, waiting.as_of)
        is_late = bool(query.twin_position) and twin.last_second < waiting.as_of
        degraded = NO_TWIN if then.last_second == 0 else BEHIND if is_late else None
        asked.append(Asked(query, waiting.as_of, then, degraded))
    if decider is not None and asked:
        predictions += _decided(decider, asked, by, metrics)
    return predictions


def _reason_against(
    state: PartitionState, waiting: Waiting, twin: Twin, decider: Decider | None
) -> str | None:
    """Why a query must not be answered, if so."""
    if decider is None:
        return NO_MODEL
    if waiting.as_of <= state.replica.erased_until(waiting.query.customer_id):
        return ERASED
    return MOVED_ON if has_forgotten(twin, waiting.as_of) else None


def _decided(decider: Decider, asked: list[Asked], by: Author, metrics: WorkerMetrics) -> list[Any]:
    inputs = [
        DecisionInput(Question(a.query.kind, a.as_of, a.query.subject, a.query.environment), a.twin)
        for a in asked
    ]
    decisions = _decide(decider, inputs, metrics)
    now = datetime.now(UTC)
    return [
        rejected(a.query, by, now, decision.reason)
        if isinstance(decision, Refusal)
        else answered(a.query, decision, by, now, a.twin.content_hash(), _both(a.degraded, decision.degraded))
        for a, decision in zip(asked, decisions, strict=True)
    ]


def _both(of_twin: str | None, of_model: str | None) -> str | None:
    """All that an answer lacks, in one sentence."""
    return "; ".join(filter(None, (of_twin, of_model))) or None


def _decide(
    decider: Decider, inputs: list[DecisionInput], metrics: WorkerMetrics
) -> list[Decision | Refusal]:
    """What the decider says. Where it fails, each question is put to it alone: one defect costs one answer."""
    try:
        return decider.decide(inputs)
    except Exception as error:
        if len(inputs) > 1:
            return [decision for each in inputs for decision in _decide(decider, [each], metrics)]
        _log.exception("the decider fails at a %s question", inputs[0].question.kind)
        metrics.batch_counts.add(metrics.failed)
        return [Refusal(f"the decider failed: {type(error).__name__}: {error}"[:500])]
