"""The exactly-once lane: consume a batch, handle it, commit its outputs and its offsets as one.

A lane subscribes to one lead topic. With partition p of the lead come partition p of its companion topics and
the handler's state of p, so what belongs to one customer is always together and moves together. Nothing is in
flight while partitions move: rebalance callbacks run inside `poll`, between two transactions.

A lane may also follow changelogs: partition p of each comes along too, read from where the handler's copy of it
ends, and its offsets are nobody's business but the handler's.
"""

import functools
import gc
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from streams.batch import Batch, Handler, Source, next_offset
from streams.errors import TwinsError
from streams.kafka import Headers, consumer, is_passing, producer, topic_name
from streams.positions import lag
from streams.settings import Settings
from streams.topics import Topic
from streams.turns import Turns

POLL_S = 0.2
KAFKA_TIMEOUT_S = 30.0
RETRY_S = 0.5
COLLECT_EVERY_S = 30.0
_log = logging.getLogger(__name__)
T = TypeVar("T")


class FencedError(TwinsError):
    """Another process took over this lane's transactional id; this one must not write any more."""


class Lane:
    """One consumer, one transactional producer, one handler.

    Args:
        name: the consumer group, and with `member` the transactional id.
        member: stable over restarts of the same process and different between processes of a group, so that
            a restart aborts what its last run left open.
        batch_max: most records of the lead and the companions in one batch, or that wait for their turn.
        on_batch: called after each batch that was committed, with its records and the seconds it took.
        on_round: called again and again, busy or not: the sign of life.
        followed: changelogs to follow, and from which offset on in a partition. They are handled at least once.
        turn: partitions take turns, with about so many records in one batch; see `Turns`.
        is_full: whether records of the lead should wait in Kafka for now; what is followed goes on.
        wait_s: how long at most to wait for records before asking the handler again what is due.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        member: str,
        lead: Topic,
        companions: tuple[Topic, ...],
        handler: Handler,
        batch_max: int,
        linger_ms: int,
        on_batch: Callable[[int, float], None] | None = None,
        on_round: Callable[[], None] | None = None,
        followed: Mapping[Topic, Callable[[int], int]] | None = None,
        turn: int | None = None,
        is_full: Callable[[], bool] | None = None,
        wait_s: Callable[[], float] | None = None,
    ) -> None:
        self._settings = settings
        self._name, self._member = name, member
        self._lead, self._companions = lead, companions
        self._followed = followed or {}
        self._topics = {topic_name(settings, t): t for t in (lead, *companions, *self._followed)}
        self._handler = handler
        self._batch_max, self._linger_s = batch_max, linger_ms / 1000
        self._turns = Turns(turn, batch_max)
        self._on_batch = on_batch or (lambda _count, _seconds: None)
        self._on_round = on_round or (lambda: None)
        self._is_full = is_full or (lambda: False)
        self._wait_s = wait_s or (lambda: POLL_S)
        self._closing = False
        self._paused: set[int] = set()
        self._next: dict[Source, int] = {}
        self._committed: dict[Source, int] = {}
        self._names: dict[Topic, str] = {t: n for n, t in self._topics.items()}
        self._followed_names = {self._names[topic] for topic in self._followed}
        self._consumer: Consumer
        self._producer: Producer

    @property
    def partitions(self) -> set[int]:
        """The partitions this lane holds now."""
        return {partition for topic, partition in self._next if topic is self._lead}

    def position(self, topic: Topic, partition: int) -> int:
        """The next offset to handle of a source."""
        return self._next[(topic, partition)]

    def end_offset(self, topic: Topic, partition: int) -> int:
        """The offset that the next record of a partition will get."""
        end = TopicPartition(topic_name(self._settings, topic), partition)
        read = functools.partial(self._consumer.get_watermark_offsets, end, KAFKA_TIMEOUT_S, cached=False)
        return int(self._retry("end offset", read)[1])

    def heard_end(self, topic: Topic, partition: int) -> int:
        """The end of a partition as the last fetch told it: at or after every transaction read so far.

        Below 0 before the first fetch.
        """
        end = TopicPartition(topic_name(self._settings, topic), partition)
        return int(self._consumer.get_watermark_offsets(end, cached=True)[1])

    def lag(self) -> int:
        """Records of the lead and the companions that are there and not handled yet, as the last fetch told it."""
        ends = {source: self.heard_end(*source) for source in self._next}
        return lag(ends, {source: max(0, offset) for source, offset in self._next.items()})

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set: batch after batch.

        Raises:
            FencedError: another process has this lane's transactional id.
        """
        self._producer = producer(self._settings, transactional_id=f"{self._name}-{self._member}")
        self._retry("init_transactions", lambda: self._producer.init_transactions(KAFKA_TIMEOUT_S))
        self._consumer = consumer(self._settings, self._name, partition_eof=bool(self._followed))
        self._consumer.subscribe(
            [self._names[self._lead]], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lost
        )
        _settle_garbage()
        collected = time.monotonic()
        try:
            while not stop.is_set():
                self._pause_or_resume()
                batch = self._take(0.0 if self._handler.due() else self._wait_s())
                self._on_round()
                if batch or self._handler.due():
                    started = time.monotonic()
                    if self._transact(batch):
                        self._on_batch(len(batch), time.monotonic() - started)
                if time.monotonic() - collected > COLLECT_EVERY_S:
                    gc.collect()
                    collected = time.monotonic()
        finally:
            self._closing = True
            for partition in self.partitions:
                self._handler.revoked(partition)
            self._turns.clear()
            self._next.clear()
            self._consumer.close()

    def _pause_or_resume(self) -> None:
        """Let the lead's records wait in Kafka while the handler is full. The group sees a member that is well."""
        wanted = self.partitions if self._is_full() else set()
        lead = self._names[self._lead]
        if more := wanted - self._paused:
            self._consumer.pause([TopicPartition(lead, partition) for partition in more])
        if fewer := self._paused - wanted:
            self._consumer.resume([TopicPartition(lead, partition) for partition in fewer])
        self._paused = wanted

    def _take(self, wait_s: float) -> Batch:
        """The records whose turn it is, after reading what has come."""
        self._turns.add(self._batch_of(self._read(0.0 if self._turns else wait_s)))
        return self._turns.next()

    def _read(self, wait_s: float) -> list[Message]:
        """What comes within the linger after the first record; what is there already while others wait."""
        room = self._batch_max - len(self._turns)
        if room <= 0:
            return []
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        deadline = time.monotonic() + (0.0 if self._turns else self._linger_s)
        messages = [first]
        room -= 1
        while room > 0:
            taken = self._consumer.consume(room, max(0.0, deadline - time.monotonic()))
            messages += taken
            # What is followed takes no room: it is applied, not answered.
            room -= (
                sum(m.topic() not in self._followed_names for m in taken) if self._followed else len(taken)
            )
            if time.monotonic() >= deadline:
                break
        return messages

    def _batch_of(self, messages: list[Message]) -> Batch:
        records: dict[tuple[str | None, int | None], list[Message]] = defaultdict(list)
        batch = Batch()
        for message in messages:
            error = message.error()
            if error is None:
                records[message.topic(), message.partition()].append(message)
            elif error.code() != KafkaError._PARTITION_EOF:
                _report(error)
            elif (topic := self._topics[message.topic() or ""]) in self._followed:
                batch.ends[(topic, message.partition() or 0)] = message.offset() or 0
        for (name, partition), taken in records.items():
            batch.records[(self._topics[name or ""], partition or 0)] = taken
        # Records may still come from a partition that was given up while they waited in the queue.
        batch.records = {s: taken for s, taken in batch.records.items() if self._has(s)}
        batch.ends = {s: offset for s, offset in batch.ends.items() if self._has(s)}
        return batch

    def _has(self, source: Source) -> bool:
        topic, partition = source
        return source in self._next or (topic in self._followed and (self._lead, partition) in self._next)

    def _transact(self, batch: Batch) -> bool:
        """One transaction; False if it was aborted. Its steps:

        1. begin; 2. the handler sends outputs; 3. offsets join; 4. commit; 5. the handler adopts the state.
        After any abort the records are read again from the committed offsets.
        """
        self._producer.begin_transaction()
        try:
            undone = self._handler.handle(batch, self)
            for source, messages in batch.records.items():
                if source in self._next:
                    self._next[source] = next_offset(messages)
            done = {s: undone.get(s, o) for s, o in self._next.items()}
            moved = {s: o for s, o in done.items() if o is not None and o != self._committed.get(s)}
            if moved:
                self._retry("send offsets", lambda: self._send_offsets(moved))
            self._retry("commit", lambda: self._producer.commit_transaction(KAFKA_TIMEOUT_S))
        except KafkaException as exception:
            self._abort(exception)
            return False
        except BaseException:
            self._abort(None)
            raise
        self._committed.update(moved)
        self._handler.committed()
        return True

    def send(
        self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers = (), partition: int = -1
    ) -> None:
        """See `Outbox`."""
        name = self._names.get(topic) or self._names.setdefault(topic, topic_name(self._settings, topic))
        while True:
            try:
                self._producer.produce(name, value, key, partition, headers=headers or None)  # type: ignore[arg-type]
                return
            except BufferError:
                self._producer.poll(0.05)

    def _send_offsets(self, offsets: Mapping[Source, int]) -> None:
        positions = [TopicPartition(self._names[t], p, o) for (t, p), o in offsets.items()]
        # Metadata taken afresh: a kept one goes stale without any rebalance.
        metadata = self._consumer.consumer_group_metadata()
        self._producer.send_offsets_to_transaction(positions, metadata, KAFKA_TIMEOUT_S)

    def _retry(self, what: str, call: Callable[[], T]) -> T:
        """Call until it succeeds; what is retriable is retried while the transaction can still live."""
        deadline = time.monotonic() + self._settings.transaction_timeout_ms / 1000
        while True:
            try:
                return call()
            except KafkaException as exception:
                error = exception.args[0]
                if error.fatal():
                    raise FencedError(f"{self._name}-{self._member}: {error.str()}") from exception
                if not is_passing(error) or time.monotonic() > deadline:
                    raise
                _log.warning("%s: %s, trying again", what, error.str())
                time.sleep(RETRY_S)

    def _abort(self, exception: KafkaException | None) -> None:
        if exception is not None:
            error = exception.args[0]
            if error.fatal():
                raise FencedError(f"{self._name}-{self._member}: {error.str()}") from exception
            _log.warning("transaction aborted, its records will be read again: %s", error.str())
        self._retry("abort", lambda: self._producer.abort_transaction(KAFKA_TIMEOUT_S))
        self._handler.aborted()
        self._turns.clear()
        for source in list(self._next):
            topic, partition = source
            offset = self._next[source] = self._committed[source]
            try:
                self._consumer.seek(TopicPartition(self._names[topic], partition, offset))
            except KafkaException as failed:
                # Not ours any more: whoever has it starts from the committed offset.
                _log.warning("cannot seek %s[%d]: %s", topic.name, partition, failed.args[0].str())

    def _assign(self, consumer_: Consumer, given: list[TopicPartition]) -> None:
        # A rebalance may end while the consumer closes: what it gives then goes back at once, unopened.
        if not given or self._closing:
            return
        wanted = [
            TopicPartition(self._names[topic], tp.partition)
            for tp in given
            for topic in (self._lead, *self._companions)
        ]
        positions = self._retry("committed offsets", lambda: _committed(consumer_, wanted))
        for tp in given:
            mine = {self._topics[p.topic]: p.offset for p in positions if p.partition == tp.partition}
            self._handler.assigned(tp.partition, {topic: o for topic, o in mine.items() if o >= 0})
        for tp in positions:
            tp.offset = tp.offset if tp.offset >= 0 else OFFSET_BEGINNING
            source = (self._topics[tp.topic], tp.partition)
            self._next[source] = self._committed[source] = tp.offset
        copies = [
            TopicPartition(self._names[topic], tp.partition, start(tp.partition))
            for tp in given
            for topic, start in self._followed.items()
        ]
        consumer_.incremental_assign([*positions, *copies])
        _log.info("%s: assigned partitions %s", self._name, sorted(tp.partition for tp in given))

    def _revoke(self, consumer_: Consumer, taken: list[TopicPartition]) -> None:
        if not taken:
            return
        leaving = {tp.partition for tp in taken}
        sources = [source for source in self._next if source[1] in leaving]
        copies = [(topic, partition) for topic in self._followed for partition in leaving]
        consumer_.incremental_unassign([TopicPartition(self._names[t], p) for t, p in (*sources, *copies)])
        self._paused -= leaving
        for source in sources:
            del self._next[source]
            del self._committed[source]
        for partition in leaving:
            self._turns.drop(partition)
            self._handler.revoked(partition)
        _log.info("%s: gave up partitions %s", self._name, sorted(leaving))

    def _lost(self, consumer_: Consumer, taken: list[TopicPartition]) -> None:
        # Between transactions there is nothing to abort; what was handled is committed or was aborted.
        _log.warning("%s: lost partitions %s", self._name, sorted(tp.partition for tp in taken))
        self._revoke(consumer_, taken)


def _committed(reader: Consumer, wanted: list[TopicPartition]) -> list[TopicPartition]:
    positions = reader.committed(wanted, KAFKA_TIMEOUT_S)
    for position in positions:
        if position.error is not None:
            raise KafkaException(position.error)
    return positions


def _report(error: KafkaError) -> None:
    if error.fatal():
        raise KafkaException(error)
    _log.warning("consumer: %s", error.str())


def _settle_garbage() -> None:
    """Stop the cyclic collector: batches make millions of short-lived objects and no cycles.

    Measured on receipts, automatic collection made decoding five times slower. The lane collects by itself
    now and then.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
