"""What the worker does with a batch: follow the twins, take queries in, answer those whose twin is here."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from confluent_kafka import Message

from streams.batch import Batch, Outbox, Source
from streams.dead_letters import dead_letter_record
from streams.decoding import FastDecoder
from streams.live_products import LiveProducts
from streams.settings import Settings
from streams.topics import DEAD_LETTERS, PREDICTIONS, QUERIES, STATE, WORKER_STATE, Topic
from streams.worker.deciding import answer
from streams.worker.metrics import WorkerMetrics
from streams.worker.models import CurrentModel
from streams.worker.partition import PartitionState, Waiting
from twin_store.messages import Prediction, Query
from twin_store.messages.codec import BadMessage, epoch_seconds, shared_headers

STAGE = "worker"
SOURCE = "/twins/worker"
_encode = msgspec.json.Encoder().encode


class Worker:
    """The handler of the worker's lane; see `streams.batch.Handler`."""

    def __init__(
        self,
        settings: Settings,
        reader: str,
        products: LiveProducts,
        model: CurrentModel,
        metrics: WorkerMetrics,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._products = products
        self._model = model
        self._metrics = metrics
        self._hold_s = settings.worker_hold_ms / 1000
        self._decode = FastDecoder(Query)
        self._partitions: dict[int, PartitionState] = {}
        self._sent: list[Any] = []

    def assigned(self, partition: int, committed: Mapping[Topic, int]) -> None:
        """See `Handler`."""
        self._partitions[partition] = PartitionState(self._settings, self._reader, partition)

    def revoked(self, partition: int) -> None:
        """See `Handler`."""
        state = self._partitions.pop(partition, None)
        if state is not None:
            state.close()

    def follow_from(self, partition: int) -> int:
        """Where the lane reads on in the twins' changelog."""
        return self._partitions[partition].replica.position

    def due(self) -> bool:
        """Whether a query has waited long enough for its twin. Raises what stopped the products."""
        self._products.check()
        before = time.monotonic() - self._hold_s
        return any(w.since <= before for state in self._partitions.values() for w in state.held.values())

    def handle(self, batch: Batch, outbox: Outbox) -> Mapping[Source, int | None]:
        """See `Handler`. The offset of a query that waits is not committed, nor those behind it."""
        for (topic, partition), messages in batch.records.items():
            state = self._partitions[partition]
            if topic is STATE:
                state.replica.take(messages)
            else:
                self._take_in(state, messages, outbox)
        undone: dict[Source, int | None] = {}
        for state in self._partitions.values():
            ready = state.ready(time.monotonic(), self._hold_s)
            if ready:
                self._publish(state, self._answer(state, ready), outbox)
            if state.done_until is not None:
                undone[QUERIES, state.number] = state.done_until
        return undone

    def committed(self) -> None:
        """See `Handler`."""
        for state in self._partitions.values():
            state.committed()
        self._metrics.batch_counts.committed()
        self._metrics.published(self._sent)
        self._metrics.held.set(sum(len(state.held) for state in self._partitions.values()))
        self._sent = []

    def aborted(self) -> None:
        """See `Handler`."""
        for state in self._partitions.values():
            state.aborted()
        self._metrics.batch_counts.aborted()
        self._sent = []

    def _take_in(self, state: PartitionState, messages: list[Message], outbox: Outbox) -> None:
        now = time.monotonic()
        for message in messages:
            try:
                query = self._decode(message.value())
            except BadMessage as error:
                outbox.send(DEAD_LETTERS, *dead_letter_record(message, STAGE, error))
                self._metrics.batch_counts.add(self._metrics.dead)
                continue
            waiting = Waiting(query, epoch_seconds(query.as_of), message.offset() or 0, now)
            if not state.add(waiting):
                self._metrics.batch_counts.add(self._metrics.repeated)

    def _answer(self, state: PartitionState, ready: list[Waiting]) -> list[Any]:
        """The most urgent first, so many at a time that none of them waits long for the others."""
        ready.sort(key=lambda waiting: (-waiting.query.priority, waiting.query.deadline))
        most = self._settings.worker_batch_max
        predictions: list[Any] = []
        for start in range(0, len(ready), most):
            with self._products.lock:
                decider = self._model.decider
                predictions += answer(state, ready[start : start + most], decider, self._metrics)
        return predictions

    def _publish(self, state: PartitionState, predictions: list[Any], outbox: Outbox) -> None:
        headers = shared_headers(Prediction, SOURCE, datetime.now(UTC))
        for prediction in predictions:
            query_id: str = prediction.query_id
            state.answered.add(query_id)
            key, value = prediction.customer_id.encode(), _encode(prediction)
            outbox.send(PREDICTIONS, key, value, [*headers, ("ce_id", query_id.encode())])
        for slot, block in state.answered.changes():
            outbox.send(WORKER_STATE, slot, block, partition=state.number)
        self._sent += predictions
