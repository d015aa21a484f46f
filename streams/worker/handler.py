"""What the worker does with a batch: follow the twins, take queries in, answer those whose twin is here."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from confluent_kafka import Message

from streams.batch import Batch, Outbox, Source
from streams.dead_letters import dead_letter_record
from streams.decoding import FastDecoder
from streams.lane import POLL_S
from streams.live_products import LiveProducts
from streams.settings import Settings
from streams.topics import DEAD_LETTERS, PREDICTIONS, QUERIES, STATE, WORKER_STATE, Topic
from streams.worker.deciding import Asked, answer, answered_by_numbers, sorted_out
from streams.worker.language import MARGIN_S, Degraded, LanguageSide
from streams.worker.metrics import WorkerMetrics
from streams.worker.models import CurrentModel
from streams.worker.partition import PartitionState, Waiting
from streams.worker.pool import prompts_of
from trainer.deciders.language.served import IN_WORDS
from twin_store.messages import Prediction, Query
from twin_store.messages.codec import BadMessage, epoch_seconds, shared_headers

STAGE = "worker"
SOURCE = "/twins/worker"
LANDING_S = 0.005  # while queries are at the model, so often is it seen who is back
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
        language: LanguageSide | None = None,
    ) -> None:
        """`language` is the language model, if one is to answer; `model` then answers in its place."""
        self._settings = settings
        self._reader = reader
        self._products = products
        self._model = model
        self._metrics = metrics
        self._language = language
        self._hold_s = settings.worker_hold_ms / 1000
        self._busy_s = settings.worker_busy_ms / 1000
        self._words_s = settings.worker_words_ms / 1000
        self._queued_since: float | None = None
        self._words: list[Waiting] = []
        self._decode = FastDecoder(Query)
        self._partitions: dict[int, PartitionState] = {}
        self._sent: list[Any] = []

    def assigned(self, partition: int, committed: Mapping[Topic, int]) -> None:
        """See `Handler`."""
        self._partitions[partition] = PartitionState(
            self._settings, self._reader, partition, with_symbols=self._language is not None
        )

    def revoked(self, partition: int) -> None:
        """See `Handler`."""
        if self._language is not None:
            self._language.pool.recall(partition)
        state = self._partitions.pop(partition, None)
        if state is not None:
            state.close()

    def follow_from(self, partition: int) -> int:
        """Where the lane reads on in the twins' changelog."""
        return self._partitions[partition].replica.position

    def due(self) -> bool:
        """Whether a query has waited long enough, or is back from the model. Raises what stopped the products."""
        self._products.check()
        now = time.monotonic()
        if self._language is not None and self._language_due(self._language, now):
            return True
        before = now - self._hold_s
        return any(w.since <= before for state in self._partitions.values() for w in state.held.values())

    def is_full(self) -> bool:
        """Whether no more queries should come for now: the model has as many as it can take."""
        return self._language is not None and (
            self._language.pool.room <= 0 or self._queued_since is not None
        )

    def wait_s(self) -> float:
        """How long the lane may wait for records before it asks again what is due."""
        is_flying = self._language is not None and len(self._language.pool) > 0
        return LANDING_S if is_flying else POLL_S

    def handle(self, batch: Batch, outbox: Outbox) -> Mapping[Source, int | None]:
        """See `Handler`. The offset of a query that waits is not committed, nor those behind it."""
        for (topic, partition), messages in batch.records.items():
            state = self._partitions[partition]
            if topic is STATE:
                state.replica.take(messages)
            else:
                self._take_in(state, messages, outbox)
        now = time.monotonic()
        ready = [(state, state.ready(now, self._hold_s)) for state in self._partitions.values()]
        if self._language is None:
            for state, waiting in ready:
                if waiting:
                    self._publish(state, self._answer(state, waiting), outbox)
        else:
            self._publish_landed(self._language, outbox)
            self._ask(self._language, [(state, each) for state, some in ready for each in some], outbox)
        for state in self._partitions.values():
            for slot, block in state.answered.changes():
                outbox.send(WORKER_STATE, slot, block, partition=state.number)
        return {
            (QUERIES, state.number): state.done_until
            for state in self._partitions.values()
            if state.done_until is not None
        }

    def committed(self) -> None:
        """See `Handler`."""
        for state in self._partitions.values():
            state.committed()
        self._metrics.batch_counts.committed()
        self._metrics.published(self._sent)
        self._metrics.held.set(sum(len(state.held) for state in self._partitions.values()))
        self._see_who_waits()
        self._sent = []

    def aborted(self) -> None:
        """See `Handler`."""
        if self._language is not None:
            self._language.pool.recall()
        self._queued_since, self._words = None, []
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

    def _language_due(self, language: LanguageSide, now: float) -> bool:
        if language.pool.due(now) or not all(self._waits_for_words(each, now) for each in self._words):
            return True
        since = self._queued_since
        return since is not None and (language.pool.room > 0 or now - since >= self._busy_s)

    def _publish_landed(self, language: LanguageSide, outbox: Outbox) -> None:
        predictions, degraded = language.landed()
        for asked, prediction in predictions:
            self._partitions[asked.partition].land(asked.query.query_id)
            self._publish(self._partitions[asked.partition], [prediction], outbox)
        for asked, _ in degraded:
            self._partitions[asked.partition].land(asked.query.query_id)
        self._degrade(degraded, outbox)

    def _ask(
        self, language: LanguageSide, ready: list[tuple[PartitionState, Waiting]], outbox: Outbox
    ) -> None:
        """The most urgent to the model as long as there is room; the others wait for room, up to a bound."""
        now, room, is_away = time.monotonic(), language.pool.room, language.is_away
        chosen = defaultdict[PartitionState, list[Waiting]](list)
        impatient = defaultdict[PartitionState, list[Waiting]](list)
        words = 0
        for state, waiting in sorted(ready, key=_urgency):
            if words < self._settings.worker_in_flight_max and self._waits_for_words(waiting, now):
                state.queue(waiting)
                words += 1
            elif room > 0 or is_away:
                chosen[state].append(waiting)
                room -= prompts_of(waiting.query)
            elif now - waiting.since >= self._busy_s or datetime.now(UTC) > waiting.query.deadline:
                impatient[state].append(waiting)
            else:
                state.queue(waiting)
        degraded = [language.too_busy(asked) for asked in self._sorted_out(impatient, outbox)]
        asked = self._sorted_out(chosen, outbox)
        with self._products.lock:
            degraded += language.send(asked)
        at_evidence = {id(each) for each, _ in degraded}
        for each in asked:
            if id(each) not in at_evidence:
                self._partitions[each.partition].launch(each.waiting)
        self._degrade(degraded, outbox)

    def _see_who_waits(self) -> None:
        now, self._words, self._queued_since = time.monotonic(), [], None
        queued = [each for state in self._partitions.values() for each in state.queued.values()]
        for each in queued:
            if self._waits_for_words(each, now):
                self._words.append(each)
            else:
                self._queued_since = min(each.since, self._queued_since or each.since)
        self._metrics.queued.set(len(queued))

    def _waits_for_words(self, waiting: Waiting, now: float) -> bool:
        """Whether only a language model can answer this, and one may be back in time."""
        query = waiting.query
        if self._language is None or query.kind not in IN_WORDS or not self._language.is_away:
            return False
        left_s = (query.deadline - datetime.now(UTC)).total_seconds() - MARGIN_S
        return left_s > 0 and now - waiting.since < self._words_s

    def _sorted_out(self, ready: Mapping[PartitionState, list[Waiting]], outbox: Outbox) -> list[Asked]:
        """Those that a decider is to answer; the others are told why not."""
        found: list[Asked] = []
        for state, waiting in ready.items():
            predictions, asked = sorted_out(state, waiting, self._model.decider, None)
            self._publish(state, predictions, outbox)
            found += asked
        return found

    def _degrade(self, degraded: Sequence[Degraded], outbox: Outbox) -> None:
        """Answer these from the numbers."""
        by_partition = defaultdict[int, list[Degraded]](list)
        for each in degraded:
            by_partition[each[0].partition].append(each)
        for partition, some in by_partition.items():
            with self._products.lock:
                predictions = answered_by_numbers(self._model, some, self._metrics)
            self._publish(self._partitions[partition], predictions, outbox)

    def _answer(self, state: PartitionState, ready: list[Waiting]) -> list[Any]:
        """The most urgent first, so many at a time that none of them waits long for the others."""
        ready.sort(key=lambda waiting: _urgency((state, waiting)))
        most = self._settings.worker_batch_max
        predictions: list[Any] = []
        for start in range(0, len(ready), most):
            with self._products.lock:
                predictions += answer(state, ready[start : start + most], self._model, self._metrics)
        return predictions

    def _publish(self, state: PartitionState, predictions: list[Any], outbox: Outbox) -> None:
        if not predictions:
            return
        headers = shared_headers(Prediction, SOURCE, datetime.now(UTC))
        for prediction in predictions:
            query_id: str = prediction.query_id
            state.answered.add(query_id)
            key, value = prediction.customer_id.encode(), _encode(prediction)
            outbox.send(PREDICTIONS, key, value, [*headers, ("ce_id", query_id.encode())])
        self._sent += predictions


def _urgency(ready: tuple[PartitionState, Waiting]) -> tuple[int, datetime]:
    """The order in which queries are answered."""
    query = ready[1].query
    return -query.priority, query.deadline
