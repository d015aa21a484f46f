"""What the worker does with a batch: follow the twins, answer what can be answered, once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from confluent_kafka import Message

from streams.batch import Batch, Outbox, Source
from streams.dead_letters import dead_letter_record
from streams.decoding import FastDecoder
from streams.kafka import Headers
from streams.replica import TwinReplica
from streams.settings import Settings
from streams.topics import DEAD_LETTERS, PREDICTIONS, QUERIES, STATE, WORKER_STATE
from streams.updater.recovery import restore
from streams.worker.answered import AnsweredIds
from streams.worker.answers import answered, expired, rejected
from streams.worker.metrics import WorkerMetrics
from streams.worker.models import Models
from trainer.deciders.base import Decider, DecisionInput, Refusal
from twin_store.dna.twin import Twin, rewind
from twin_store.evidence import Question
from twin_store.messages import Prediction, Query
from twin_store.messages.base import format_instant
from twin_store.messages.codec import BadMessage, epoch_seconds
from twin_store.store.memory import MemoryStore

STAGE = "worker"
NO_MODEL = Refusal("there is no model version yet; fit one with `twins train evidence`")
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Waiting:
    """A query that was read and not answered yet. `since` is monotonic seconds."""

    query: Query
    offset: int
    since: float


@dataclass
class PartitionState:
    """What belongs to partition p: its twins, the ids answered, and the queries that wait for their twin."""

    replica: TwinReplica
    done: AnsweredIds
    waiting: list[Waiting] = field(default_factory=list)
    kept: list[Waiting] = field(default_factory=list)


class Worker:
    """The handler of the worker's lane; see `streams.batch.Handler`."""

    def __init__(self, settings: Settings, reader: str, models: Models, metrics: WorkerMetrics) -> None:
        self._settings = settings
        self._reader = reader
        self._models = models
        self._metrics = metrics
        self._hold_s = settings.worker_hold_ms / 1000
        self._decode = FastDecoder(Query)
        self._partitions: dict[int, PartitionState] = {}
        self._sent: list[Any] = []

    def assigned(self, partition: int) -> None:
        """See `Handler`."""
        store = MemoryStore()
        restore(self._settings, partition, store, WORKER_STATE)
        replica = TwinReplica(self._settings, self._reader, partition)
        self._partitions[partition] = PartitionState(replica, AnsweredIds(store))

    def revoked(self, partition: int) -> None:
        """See `Handler`."""
        state = self._partitions.pop(partition, None)
        if state is not None:
            state.replica.close()

    def follow_from(self, partition: int) -> int:
        """Where the lane reads on in the twins' changelog."""
        return self._partitions[partition].replica.position

    def due(self) -> bool:
        """Whether queries wait."""
        return any(state.waiting for state in self._partitions.values())

    def handle(self, batch: Batch, outbox: Outbox) -> Mapping[Source, int | None]:
        """See `Handler`. A query whose twin is not here yet is held for a moment; its offset is not committed."""
        for (topic, partition), messages in batch.records.items():
            state = self._partitions[partition]
            if topic is STATE:
                state.replica.take(messages)
            else:
                self._read(state, messages, outbox)
        decider = self._models.current()
        held: dict[Source, int | None] = {}
        for partition, state in self._partitions.items():
            ready = self._ready(state)
            ready.sort(key=lambda waiting: -waiting.query.priority)
            for start in range(0, len(ready), self._settings.worker_batch_max):
                self._answer(state, ready[start : start + self._settings.worker_batch_max], decider, outbox)
            for key, value in state.done.changes():
                outbox.send(WORKER_STATE, key, value, partition=partition)
            if state.kept:
                held[QUERIES, partition] = min(waiting.offset for waiting in state.kept)
        return held

    def committed(self) -> None:
        """See `Handler`."""
        for state in self._partitions.values():
            state.done.committed()
            state.waiting, state.kept = state.kept, []
        for prediction in self._sent:
            self._metrics.answered(prediction)
        self._sent.clear()

    def aborted(self) -> None:
        """See `Handler`. What was held is read again too."""
        for state in self._partitions.values():
            state.done.aborted()
            state.waiting, state.kept = [], []
        self._sent.clear()

    def _read(self, state: PartitionState, messages: list[Message], outbox: Outbox) -> None:
        now = time.monotonic()
        for message in messages:
            try:
                query = self._decode(message.value())
            except BadMessage as error:
                outbox.send(DEAD_LETTERS, *dead_letter_record(message, STAGE, error))
                self._metrics.dead.inc()
            else:
                state.waiting.append(Waiting(query, message.offset() or 0, now))

    def _ready(self, state: PartitionState) -> list[Waiting]:
        """The queries to answer now, each id once; the others are kept for the next round."""
        now = time.monotonic()
        ready: dict[str, Waiting] = {}
        for waiting in state.waiting:
            query = waiting.query
            if query.query_id in state.done or query.query_id in ready:
                self._metrics.repeated.inc()
                continue
            behind = state.replica.twin(query.customer_id).last_second < epoch_seconds(query.as_of)
            if query.twin_position and behind and now - waiting.since < self._hold_s:
                state.kept.append(waiting)
            else:
                ready[query.query_id] = waiting
        return list(ready.values())

    def _answer(
        self, state: PartitionState, batch: list[Waiting], decider: Decider | None, outbox: Outbox
    ) -> None:
        now = datetime.now(UTC)
        asked: list[tuple[Query, Twin]] = []
        predictions: list[tuple[Query, Any]] = []
        for query in (waiting.query for waiting in batch):
            if now > query.deadline:
                predictions.append((query, expired(query, now)))
            elif decider is None:
                predictions.append((query, rejected(query, now, NO_MODEL)))
            else:
                asked.append(
                    (query, rewind(state.replica.twin(query.customer_id), epoch_seconds(query.as_of)))
                )
        if decider is not None and asked:
            predictions += self._decide(decider, asked)
        headers = _headers()
        for query, prediction in predictions:
            state.done.stage(query.query_id)
            ids = [*headers, ("ce_id", query.query_id.encode())]
            outbox.send(PREDICTIONS, query.customer_id.encode(), _encode(prediction), ids)
            self._sent.append(prediction)

    def _decide(self, decider: Decider, asked: list[tuple[Query, Twin]]) -> list[tuple[Query, Any]]:
        inputs = [
            DecisionInput(Question(q.kind, epoch_seconds(q.as_of), q.subject, q.environment), twin)
            for q, twin in asked
        ]
        decisions = decider.decide(inputs)
        now = datetime.now(UTC)
        out: list[tuple[Query, Any]] = []
        for (query, twin), decision in zip(asked, decisions, strict=True):
            if isinstance(decision, Refusal):
                prediction = rejected(query, now, decision, decider.name, decider.version)
            else:
                prediction = answered(
                    query, decision, decider.name, decider.version, now, twin.content_hash()
                )
            out.append((query, prediction))
        return out


def _headers() -> Headers:
    """CloudEvents attributes that all predictions of a batch share; the id of each is that of its query."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_source", b"/twins/worker"),
        ("ce_type", Prediction.cloud_event_type().encode()),
        ("ce_time", format_instant(datetime.now(UTC)).encode()),
        ("content-type", b"application/json"),
    ]
