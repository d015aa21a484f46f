"""The lake writer: every topic that the lake keeps, from Kafka to Parquet, each record once.

A consumer group of its own. Where to read from is what the lake's manifests say, not what the group has
committed: that is committed too, so that the group's lag can be watched. See `twin_store.lake.manifest`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition

from streams.errors import TwinsError
from streams.kafka import KafkaReadError, admin, consumer, partitions_of, topic_name
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topics import TOPICS, TRANSACTIONS
from twin_store.lake import (
    GRACE_S,
    Flushed,
    LakeError,
    LakeFormat,
    LakeLog,
    LakeWriter,
    Source,
    Storage,
    Table,
    compact,
    erase,
    table_of,
)

NAME = "lake"
POLL_S = 0.2
RECORDS_PER_POLL = 5_000
KAFKA_TIMEOUT_S = 30.0
# With so many manifests since the last generation, opening the lake gets slow: sum them up.
MANIFESTS_MAX = 512
FILES_MERGED_MIN = 8
SWEEP_EVERY_S = 24 * 3_600.0
_log = logging.getLogger(__name__)


def run(
    settings: Settings,
    stop: threading.Event,
    telemetry: Telemetry | None = None,
    member: str | None = None,
) -> None:
    """Write to the lake until `stop` is set, then flush.

    `member`, stable over restarts and different between the writers of a deployment, lets a restarted writer
    have its partitions back at once instead of when its last life has been given up for dead.

    Raises:
        TwinsError: if the lake cannot be written, a topic is missing or was made anew.
    """
    try:
        _LakeLoop(settings, telemetry or Telemetry(NAME, settings), member).run(stop)
    except LakeError as error:
        raise TwinsError(str(error)) from error


def kept_topics(settings: Settings) -> dict[str, Table]:
    """The topics that the lake reads, by their names in this deployment, and the table each fills."""
    tables = {}
    for topic in TOPICS:
        table = table_of(topic.message) if topic.message is not None else None
        if NAME in topic.readers and table is not None:
            tables[topic_name(settings, topic)] = table
    return tables


class _LakeLoop:
    """One member of the group: consumes, flushes when due, keeps the lake tidy."""

    def __init__(self, settings: Settings, telemetry: Telemetry, member: str | None) -> None:
        tables = kept_topics(settings)
        self._lake = LakeLog(Storage(settings.lake))
        # As many buckets as partitions: then each partition's records go to one bucket.
        self._lake.establish(LakeFormat(buckets=settings.partitions, currency=settings.currency))
        self._writer = LakeWriter(
            self._lake,
            tables,
            _topic_ids(settings, list(tables)),
            events_max=settings.lake_flush_events,
            age_max_s=settings.lake_flush_s,
        )
        self._topics = list(tables)
        self._consumer = consumer(settings, NAME, partition_eof=True, instance=member)
        # Tidying is one member's work: hers who has this partition.
        self._duty = (topic_name(settings, TRANSACTIONS), 0)
        self._swept = time.monotonic()
        self._telemetry = telemetry
        self._records = telemetry.counter("records", "Records taken from Kafka")
        self._rows = telemetry.counter("rows", "Rows committed to the lake")
        self._files = telemetry.counter("files", "Data files committed to the lake")
        self._skipped = telemetry.counter("skipped", "Records left out: no valid message")
        self._dropped = telemetry.counter("dropped", "Records left out: of erased customers")
        self._seconds = telemetry.histogram("flush_seconds", "Duration of a flush")

    def run(self, stop: threading.Event) -> None:
        """Consume until `stop`. Steps of a round: take, buffer, flush if due, tidy if there is need."""
        self._consumer.subscribe(
            self._topics, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lost
        )
        try:
            while not stop.is_set():
                self._take()
                if self._writer.is_due():
                    self._flush()
                self._telemetry.beat()
                self._telemetry.ready(bool(self._writer.sources()))
            self._flush()
        except BaseException:
            # What is buffered may be the very thing that failed: closing must not flush it again.
            self._writer.release(self._writer.sources())
            raise
        finally:
            self._telemetry.ready(False)
            self._consumer.close()

    def _take(self) -> None:
        """Buffer what Kafka has."""
        taken = 0
        for message in self._consumer.consume(RECORDS_PER_POLL, POLL_S):
            source = (message.topic() or "", message.partition() or 0)
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    self._writer.advance(*source, message.offset() or 0)
                elif error.fatal():
                    raise KafkaException(error)
                else:
                    _log.warning("consumer: %s", error.str())
            # A record may still come from a partition that was given up while it waited in the queue.
            elif self._writer.owns(source):
                self._buffer(source, message)
                taken += 1
        self._records.inc(taken)

    def _buffer(self, source: Source, message: Message) -> None:
        offset, (_, published_ms) = message.offset(), message.timestamp()
        assert offset is not None
        self._writer.append(*source, offset, published_ms / 1000, message.key(), message.value())

    def _flush(self, only: Iterable[Source] | None = None) -> None:
        """Commit to the lake, then tell Kafka how far it is."""
        started = time.monotonic()
        done = self._writer.flush(only)
        if done.ends:
            self._seconds.observe(time.monotonic() - started)
            self._rows.inc(done.rows)
            self._files.inc(done.files)
            self._skipped.inc(done.skipped)
            self._dropped.inc(done.dropped)
            self._report_offsets(done)
        for (topic, partition), offset in done.overtaken.items():
            _log.warning("%s[%d]: another writer has taken the lake to offset %d", topic, partition, offset)
            self._consumer.seek(TopicPartition(topic, partition, offset))
        if done.has_erasures:
            self._erase()
        if done.manifests >= MANIFESTS_MAX and self._writer.owns(self._duty):
            self._compact()

    def _report_offsets(self, done: Flushed) -> None:
        """Commit the group's offsets. Nothing rests on them, so a rebalance that refuses them does no harm."""
        offsets = [TopicPartition(topic, partition, end) for (topic, partition), end in done.ends.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            _log.info("the group's offsets were not committed: %s", error.args[0].str())

    def _erase(self) -> None:
        done = erase(self._lake)
        if done.rows_erased or done.files_removed:
            _log.info("erased %d rows, removed %d files", done.rows_erased, done.files_removed)

    def _compact(self) -> None:
        """Sum the manifests up, merge what is small; once a day, remove what nobody reads any more."""
        sweep = time.monotonic() - self._swept >= SWEEP_EVERY_S
        grace_s = GRACE_S if sweep else None
        done = compact(self._lake, files_min=FILES_MERGED_MIN, tiered=True, grace_s=grace_s)
        if sweep:
            self._swept = time.monotonic()
        _log.info("generation %d: %d files, were %d", done.generation, done.files_after, done.files_before)

    def _assign(self, consumer_: Consumer, given: list[TopicPartition]) -> None:
        """Read each new partition from where the lake ends."""
        starts = self._writer.assign([(tp.topic, tp.partition) for tp in given])
        for source, start in starts.items():
            _warn_of_expired(consumer_, source, start)
        consumer_.incremental_assign([TopicPartition(*source, start) for source, start in starts.items()])
        if self._duty in starts:
            self._erase()  # what a writer that died had still to do
        _log.info("%s: assigned %d partitions", NAME, len(starts))

    def _revoke(self, consumer_: Consumer, taken: list[TopicPartition]) -> None:
        sources = [(tp.topic, tp.partition) for tp in taken]
        self._flush(sources)
        self._writer.release(sources)
        consumer_.incremental_unassign(taken)

    def _lost(self, consumer_: Consumer, taken: list[TopicPartition]) -> None:
        """Somebody else has them already and reads from the manifests: what is buffered is theirs to write."""
        self._writer.release([(tp.topic, tp.partition) for tp in taken])
        consumer_.incremental_unassign(taken)


def _topic_ids(settings: Settings, names: list[str]) -> dict[str, str]:
    """Kafka's id of each topic. Raises `KafkaReadError` if one does not exist or Kafka does not answer."""
    client = admin(settings)
    for name in names:
        partitions_of(client, name)
    described = client.describe_topics(TopicCollection(names), request_timeout=KAFKA_TIMEOUT_S)
    try:
        return {name: str(future.result().topic_id) for name, future in described.items()}
    except KafkaException as error:
        raise KafkaReadError(f"{', '.join(names)}: {error.args[0].str()}; is Kafka up?") from error


def _warn_of_expired(consumer_: Consumer, source: Source, start: int) -> None:
    """Say so if retention has taken records that the lake never had. Nobody can bring them back."""
    topic, partition = source
    try:
        low, _ = consumer_.get_watermark_offsets(TopicPartition(topic, partition), KAFKA_TIMEOUT_S)
    except KafkaException as error:
        # A topic that was just created may have no leader yet; it has lost nothing either.
        _log.info("%s[%d]: %s", topic, partition, error.args[0].str())
    else:
        if low > start:
            _log.error("%s[%d]: records %d to %d expired unread", topic, partition, start, low - 1)
