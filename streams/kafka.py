"""Kafka clients, with every option that matters written down in one place.

The defaults of librdkafka are those of a general client; ours are for exactly-once work in batches: readers
see committed records only and never commit by themselves, writers are idempotent and partition as the JVM
and Faust do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Sequence
from types import TracebackType
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
    murmur2,
)
from confluent_kafka.admin import AdminClient

from streams.errors import TwinsError
from streams.settings import Settings, kafka_client_config
from streams.topics import LETTER_MAX_BYTES, MIB, TOPIC_BY_NAME, Topic

Headers = Sequence[tuple[str, str | bytes | None]]
Record = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers of a record that is still to be produced."""

FLUSH_TIMEOUT_S = 60.0
POLL_EVERY = 1_000  # records between two looks at failed deliveries
DELIVERY_TIMEOUT_MS = 300_000  # long enough to sit out the restart of a broker
# librdkafka does not call all of this retriable.
METADATA_RETRY_S = 0.2
_PASSING = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError._TRANSPORT,
    }
)
# After a broker restarts, `send_offsets_to_transaction` can wait for ever, whatever its timeout, for a group
# coordinator that librdkafka remembers and has given up (librdkafka #5456, #5511). It looks again whenever a
# connection changes its state, and asks anew for a coordinator that it has not looked up for the age of its metadata:
# so idle connections are closed, and less often than metadata ages.
COMES_BACK = {
    "topic.metadata.refresh.interval.ms": 3_000,
    "metadata.max.age.ms": 5_000,
    "connections.max.idle.ms": 10_000,
}
_log = logging.getLogger(__name__)


class DeliveryError(TwinsError):
    """Records could not be delivered to Kafka."""


class KafkaReadError(TwinsError):
    """A topic could not be read."""


def topic_name(settings: Settings, topic: Topic) -> str:
    """The topic's name in this deployment, such as `shop7.retail.transactions`."""
    return settings.topic_prefix + topic.name


def topic_called(settings: Settings, name: str) -> Topic | None:
    """The topic that has this name in this deployment, or None."""
    if not name.startswith(settings.topic_prefix):
        return None
    return TOPIC_BY_NAME.get(name.removeprefix(settings.topic_prefix))


def group_name(settings: Settings, name: str) -> str:
    """The consumer group (or transactional id) of this deployment, such as `shop7.twins-updater`."""
    return f"{settings.topic_prefix}twins-{name}"


def consumer(
    settings: Settings,
    group: str,
    *,
    partition_eof: bool = False,
    instance: str | None = None,
    uncommitted: bool = False,
) -> Consumer:
    """A reader in consumer group `group` (without prefix) that sees committed records only.

    It commits nothing by itself. `partition_eof` makes it report the end of each partition as a message whose
    error is `_PARTITION_EOF`. `instance` makes it a static member, which keeps its partitions over a restart.
    `uncommitted` lets it see what open and aborted transactions hold: only to ask for offsets.
    """
    options: dict[str, Any] = kafka_client_config(settings) | {
        "client.id": group_name(settings, group),
        "group.id": group_name(settings, group),
        "isolation.level": "read_uncommitted" if uncommitted else "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": False,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": settings.session_timeout_ms,
        "heartbeat.interval.ms": min(3_000, settings.session_timeout_ms // 3),
        "max.poll.interval.ms": 300_000,
        "enable.partition.eof": partition_eof,
        # Answer as soon as there is a record; ask again soon for partitions that were just added.
        "fetch.min.bytes": 1,
        "fetch.wait.max.ms": 100,
        # Read ahead far enough that a batch is always waiting, and resume at once when it is taken: the
        # default pauses a full queue for a second.
        "queued.min.messages": 100_000,
        "queued.max.messages.kbytes": 131_072,
        "fetch.queue.backoff.ms": 10,
        "max.partition.fetch.bytes": 8 * MIB,
        "fetch.max.bytes": 64 * MIB,
        "reconnect.backoff.max.ms": 2_000,
        "socket.keepalive.enable": True,
        "error_cb": _log_error,
    }
    if instance is not None:
        options["group.instance.id"] = f"{group_name(settings, group)}-{instance}"
    return Consumer(options, logger=_log)


def producer(settings: Settings, *, transactional_id: str | None = None) -> Producer:
    """An idempotent writer; with `transactional_id` (without prefix) a transactional one.

    Outside a transaction use it through `Publisher`, which notices records that were not delivered. Inside
    one, `commit_transaction` fails if any record was not.
    """
    options: dict[str, Any] = kafka_client_config(settings) | {
        "client.id": group_name(settings, transactional_id or "producer"),
        "partitioner": "murmur2_random",
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": 5,
        "batch.size": MIB,
        "batch.num.messages": 100_000,
        "queue.buffering.max.messages": 1_000_000,
        "queue.buffering.max.kbytes": 1_048_576,
        "message.max.bytes": LETTER_MAX_BYTES,
        "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
        # Successes need no callback, one Python call a record.
        "delivery.report.only.error": True,
        "allow.auto.create.topics": False,
        "reconnect.backoff.max.ms": 2_000,
        "socket.keepalive.enable": True,
        "error_cb": _log_error,
    }
    if transactional_id is not None:
        options |= {
            "transactional.id": group_name(settings, transactional_id),
            "transaction.timeout.ms": settings.transaction_timeout_ms,
            "delivery.timeout.ms": settings.transaction_timeout_ms,
            **COMES_BACK,
        }
    return Producer(options, logger=_log)


def admin(settings: Settings) -> AdminClient:
    """A client for topics and groups."""
    return AdminClient(kafka_client_config(settings) | {"error_cb": _log_error}, logger=_log)


class Publisher:
    """A writer outside transactions: waits while the buffer is full, counts failures, raises them on `flush`.

    As a context manager it flushes on the way out.
    """

    def __init__(self, settings: Settings) -> None:
        self.published = 0
        self.failures = 0
        self._first_failure = ""
        self._settings = settings
        self._producer = producer(settings)
        self._names: dict[str, str] = {}

    def publish(self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        """Hand over one record. Raises `DeliveryError` if it is larger than any topic takes.

        Raises `KafkaReadError` when the topic does not exist: librdkafka would wait half a minute for it.
        """
        name = self._names.get(topic.name) or self._existing(topic)
        while True:
            try:
                self._producer.produce(
                    name, value, key, headers=list(headers) if headers else None, on_delivery=self._report
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                raise DeliveryError(f"{name}: {error.args[0].str()}") from error
            else:
                self.published += 1
                break
        if self.published % POLL_EVERY == 0:
            self._producer.poll(0)

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> None:
        """Wait until all records are delivered. Raises `DeliveryError` if some were not, and forgets them."""
        waiting = self._producer.flush(timeout_s)
        failures, first = self.failures, self._first_failure
        self.failures, self._first_failure = 0, ""
        if failures:
            raise DeliveryError(
                f"{failures} of {self.published} records were not delivered; the first: {first}"
            )
        if waiting:
            raise DeliveryError(
                f"{waiting} records are undelivered after {timeout_s:.0f} s; {_is_it_up(self._settings)}"
            )

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.flush()

    def _existing(self, topic: Topic) -> str:
        """The name of a topic that is written for the first time here; it must exist."""
        name = topic_name(self._settings, topic)
        partitions_of(self._producer, name)
        self._names[topic.name] = name
        return name

    def _report(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failures += 1
            self._first_failure = self._first_failure or f"{message.topic()}: {error.str()}"


def partition_for(key: bytes, partitions: int) -> int:
    """The partition that `murmur2_random`, and so every writer of this system, gives to a key."""
    return int(murmur2(key, partitions))


def read_to_end(
    settings: Settings,
    topic: Topic,
    timeout_s: float = FLUSH_TIMEOUT_S,
    only: Collection[int] | None = None,
) -> Iterator[Message]:
    """Every committed record of a topic, from its beginning to its end as it is when the end is reached.

    Records of one partition come in order; `only` names the partitions to read. Raises `KafkaReadError` after
    `timeout_s` without an answer.
    """
    name = topic_name(settings, topic)
    reader = consumer(settings, "reader", partition_eof=True)
    try:
        open_partitions = set(partitions_of(reader, name, timeout_s))
        if only is not None:
            open_partitions &= set(only)
        reader.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for partition in open_partitions])
        heard = time.monotonic()
        while open_partitions:
            for message in reader.consume(1_000, timeout=0.02):  # waits for all 1,000 or its timeout
                heard = time.monotonic()
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:
                    raise KafkaReadError(f"{name}: {error.str()}")
            if time.monotonic() - heard > timeout_s:
                raise KafkaReadError(f"{name}: no answer for {timeout_s:.0f} s; {_is_it_up(settings)}")
    finally:
        reader.close()


def is_passing(error: KafkaError) -> bool:
    """Whether it is what a broker answers while it starts or hands over: the same call may go through later."""
    return bool(error.retriable()) or error.code() in _PASSING


def partitions_of(client: Consumer | Producer | AdminClient, name: str, timeout_s: float = 10.0) -> list[int]:
    """The partitions of a topic.

    Raises `KafkaReadError` if it does not exist, or Kafka has not answered by the end of `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            found = client.list_topics(name, timeout=max(0.1, deadline - time.monotonic())).topics[name]
            break
        except KafkaException as error:
            if not is_passing(error.args[0]) or time.monotonic() > deadline:
                raise KafkaReadError(
                    f"{name}: {error.args[0].str()}; is Kafka up? (`twins broker status`)"
                ) from error
            time.sleep(METADATA_RETRY_S)
    if found.error is not None:
        raise KafkaReadError(f"{name}: {found.error.str()}; create it with `twins topics apply`")
    return sorted(found.partitions)


def _is_it_up(settings: Settings) -> str:
    return f"is Kafka at {settings.kafka_bootstrap} up? (`twins broker status`)"


def _log_error(error: KafkaError) -> None:
    """Connection trouble is a warning: clients reconnect, and what is fatal is raised to the caller too."""
    _log.warning("kafka client: %s", error.str(), extra={"kafka_error": error.name()})
