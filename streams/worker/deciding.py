"""Queries of one partition with their twins to the decider, and predictions back: one for each, whatever happens."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from streams.worker.answers import NOBODY, Author, answered, expired, position, rejected
from streams.worker.metrics import WorkerMetrics
from streams.worker.models import CurrentModel
from streams.worker.partition import PartitionState, Waiting
from trainer.deciders.base import Decider, Decision, DecisionInput, Refusal
from twin_store.dna.layout import RECEIPT_DAYS
from twin_store.dna.twin import Twin, rewind
from twin_store.evidence import Question
from twin_store.messages import Query
from twin_store.outcomes import has_forgotten
from twin_store.segments import segment_of

NO_MODEL = "no model version is there yet; fit one with `twins train evidence`"
ERASED = "the customer was erased after this moment"
MOVED_ON = f"the twin has moved on by more than the {RECEIPT_DAYS} days that it can be taken back"
NO_TWIN = "nothing was known of the customer: answered from the products alone"
BEHIND = "the twin had not come to this moment in time: answered from an earlier one"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that goes to a decider.

    Attributes:
        twin: as of the query's moment.
        symbols: what the keys in it stand for, where the replica keeps that.
        had_read: how far the replica had read.
        degraded: what an answer lacks whoever gives it.
    """

    waiting: Waiting
    partition: int
    twin: Twin
    symbols: Mapping[int, str]
    had_read: Any
    degraded: str | None

    @property
    def query(self) -> Query:
        """The query."""
        return self.waiting.query

    def question(self) -> DecisionInput:
        """As deciders take it."""
        query = self.query
        question = Question(query.kind, self.waiting.as_of, query.subject, query.environment)
        return DecisionInput(question, self.twin, customer_id=query.customer_id, symbols=self.symbols)


class Nobody:
    """The decider of a deployment that has fitted none: see `Decider`."""

    name = version = NOBODY

    def decide(self, batch: Sequence[DecisionInput]) -> list[Decision | Refusal]:
        """See `Decider`."""
        return [Refusal(NO_MODEL) for _ in batch]


def answer(
    state: PartitionState, ready: Sequence[Waiting], model: CurrentModel, metrics: WorkerMetrics
) -> list[Any]:
    """The predictions of these queries, in no order."""
    decider = model.decider
    predictions, asked = sorted_out(state, ready, decider, None if decider is not None else NO_MODEL)
    return predictions + answered_by_numbers(model, [(each, None) for each in asked], metrics)


def answered_by_numbers(
    model: CurrentModel, asked: Sequence[tuple[Asked, str | None]], metrics: WorkerMetrics
) -> list[Any]:
    """The predictions of queries that evidence answers: each by its segment's own model, else by that of all."""
    fallback: Decider = model.decider or Nobody()
    own = model.by_segment
    if not own:
        return decided(fallback, asked, metrics) if asked else []
    by_segment: dict[str, list[tuple[Asked, str | None]]] = {}
    for each in asked:
        segment = segment_of(each[0].twin, each[0].waiting.as_of, model.definitions)
        by_segment.setdefault(segment, []).append(each)
    return [
        prediction
        for segment, some in by_segment.items()
        for prediction in decided(own.get(segment, fallback), some, metrics, segment)
    ]


def sorted_out(
    state: PartitionState, ready: Sequence[Waiting], decider: Decider | None, nobody: str | None
) -> tuple[list[Any], list[Asked]]:
    """The predictions of the queries that must not be answered, and those that a decider is to answer.

    `nobody` says why none can, if so.
    """
    had_read = position(state.changelog, state.number, state.replica.position)
    by = Author.of(decider, had_read)
    now = datetime.now(UTC)
    predictions: list[Any] = []
    asked: list[Asked] = []
    for waiting in ready:
        query = waiting.query
        if now > query.deadline:
            predictions.append(expired(query, by, now))
            continue
        twin = state.replica.twin(query.customer_id)
        reason = nobody or _reason_against(state, waiting, twin)
        if reason is not None:
            predictions.append(rejected(query, by, now, reason))
            continue
        then = rewind(twin, waiting.as_of)
        is_late = bool(query.twin_position) and twin.last_second < waiting.as_of
        degraded = NO_TWIN if then.last_second == 0 else BEHIND if is_late else None
        asked.append(Asked(waiting, state.number, then, state.replica.symbols, had_read, degraded))
    return predictions, asked


def _reason_against(state: PartitionState, waiting: Waiting, twin: Twin) -> str | None:
    """Why a query must not be answered, if so."""
    if waiting.as_of <= state.replica.erased_until(waiting.query.customer_id):
        return ERASED
    return MOVED_ON if has_forgotten(twin, waiting.as_of) else None


def decided(
    decider: Decider,
    asked: Sequence[tuple[Asked, str | None]],
    metrics: WorkerMetrics,
    segment: str | None = None,
) -> list[Any]:
    """The predictions of queries that a decider answers at once, each with what its answer lacks besides.

    `segment` is that of all of them, where it is known.
    """
    decisions = _decide(decider, [each.question() for each, _ in asked], metrics)
    now = datetime.now(UTC)
    predictions = []
    for (each, lacks), decision in zip(asked, decisions, strict=True):
        by = Author.of(decider, each.had_read)
        if isinstance(decision, Refusal):
            reason = decision.reason if lacks is None else f"{lacks}; {decision.reason}"
            predictions.append(rejected(each.query, by, now, reason))
        else:
            degraded = joined(each.degraded, decision.degraded, lacks)
            twin_hash = each.twin.content_hash()
            predictions.append(answered(each.query, decision, by, now, twin_hash, degraded, segment))
    return predictions


def joined(*lacks: str | None) -> str | None:
    """All that an answer lacks, in one sentence."""
    return "; ".join(filter(None, lacks)) or None


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
