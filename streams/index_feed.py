"""Carries the vectors and statistics topics into a product index, and remembers how far it has come.

The two halves of a product may come in any order and any number of times (see `twin_store.products.base`), so
delivery is at least once: what was applied after the last checkpoint is applied again after a restart.

Vectors are applied as they come. Statistics come far more often, so the newest of each product waits until it is
their turn: after a tenth of the time spent, at most, on applying them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence

from confluent_kafka import (
    OFFSET_BEGINNING,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)

from streams.kafka import KafkaReadError, admin, consumer, partitions_of, topic_name
from streams.product_vectors import read_vectors
from streams.settings import Settings
from streams.topics import DAY_MS, PRODUCTS, VECTORS
from twin_store.messages.codec import BadMessage, minor_digits
from twin_store.products import Change, ProductIndex, ProductIndexError, StatisticsChange
from twin_store.products.projection import statistics_change

RECORDS_AT_ONCE = 5_000
COALESCE_S = 0.5
STATISTICS_SHARE = 0.1  # of the time, at most
CHECKPOINT_EVERY_S = 10.0
RETRY_S = 2.0
KAFKA_TIMEOUT_S = 30.0
# Tombstones stay in a compacted topic for a week: an index that was away for longer may have missed some.
POSITION_VALID_S = 6 * DAY_MS // 1000
SAVED_AT = "saved_at"
_log = logging.getLogger(__name__)


class IndexFeed:
    """One reader of both topics, all partitions, without a group. Attributes count since the start.

    Attributes:
        applied: changes that changed something.
        left_out: vectors of another embedding model than the settings name.
        caught_up: whether everything has been applied that the topics held when this feed started.
    """

    def __init__(self, settings: Settings, index: ProductIndex, name: str) -> None:
        """Start where the index says it has come to, or at the beginning.

        An index that was away too long, or that was filled from topics since made anew, is emptied. Raises
        `KafkaReadError` if Kafka does not answer or the topics do not exist.
        """
        self.applied = 0
        self.left_out = 0
        self.caught_up = False
        self._settings = settings
        self._index = index
        self._digits = minor_digits(settings.currency)
        self._vectors, self._products = topic_name(settings, VECTORS), topic_name(settings, PRODUCTS)
        self._consumer = consumer(settings, f"index-{name}", partition_eof=True)
        self._keys = self._position_keys()
        start = self._start()
        self._position = {self._keys[source]: offset for source, offset in start.items() if offset >= 0}
        self._consumer.assign([TopicPartition(*source, offset) for source, offset in start.items()])
        self._behind = set(start)
        self._statistics: dict[bytes | None, Message] = {}
        self._statistics_position: dict[str, int] = {}
        self._statistics_at = 0.0
        self._dirty = False
        self._checkpoint_at = time.monotonic() + CHECKPOINT_EVERY_S

    def poll(self, stop: threading.Event) -> None:
        """Apply what has come, waiting a moment for more; retry until `stop` if the index does not take it."""
        vectors: list[Message] = []
        for message in self._consumer.consume(RECORDS_AT_ONCE, COALESCE_S):
            error = message.error()
            if error is not None:
                self._note_error(message, error)
            elif message.topic() == self._vectors:
                vectors.append(message)
            else:
                self._statistics[message.key()] = message
                self._note(message, self._statistics_position)
        if vectors and self._apply(list(self._vector_changes(vectors)), stop):
            for message in vectors:
                self._note(message, self._position)
            self._dirty = True
        if not self._behind and self._statistics and time.monotonic() >= self._statistics_at:
            self._apply_statistics(stop)
        self.caught_up = self.caught_up or not (self._behind or self._statistics)
        if self._dirty and time.monotonic() >= self._checkpoint_at:
            self.checkpoint()
        self._index.maintain()

    def checkpoint(self) -> None:
        """Have the index record the position."""
        self._index.checkpoint(self._position | {SAVED_AT: int(time.time())})
        self._checkpoint_at = time.monotonic() + CHECKPOINT_EVERY_S
        self._dirty = False

    def close(self) -> None:
        """Stop reading, after a last checkpoint if there is anything new."""
        try:
            if self._dirty:
                self.checkpoint()
        finally:
            self._consumer.close()

    def _apply(self, changes: Sequence[Change], stop: threading.Event) -> bool:
        """Apply changes; False if `stop` came before the index took them."""
        while True:
            try:
                self.applied += self._index.apply(changes)
                return True
            except ProductIndexError as error:
                _log.warning("product index: %s; trying again", error)
                if stop.wait(RETRY_S):
                    return False

    def _apply_statistics(self, stop: threading.Event) -> None:
        """Apply the newest statistics of each product, and say when the next ones may follow."""
        started = time.monotonic()
        if not self._apply(list(self._statistics_changes(self._statistics.values())), stop):
            return
        self._position |= self._statistics_position
        self._statistics.clear()
        self._statistics_position.clear()
        self._dirty = True
        now = time.monotonic()
        self._statistics_at = now + (now - started) / STATISTICS_SHARE

    def _vector_changes(self, records: Iterable[Message]) -> Iterator[Change]:
        newest = {message.key(): message for message in records}
        for record in read_vectors(self._settings, newest.values()):
            if record.model in (None, self._settings.embedding_model):
                yield record.change
            else:
                self.left_out += 1

    def _statistics_changes(self, records: Iterable[Message]) -> Iterator[StatisticsChange]:
        for message in records:
            try:
                if (value := message.value()) is not None:
                    yield statistics_change(value, self._digits)
            except BadMessage as error:
                place = f"{message.topic()}/{message.partition()}/{message.offset()}"
                _log.warning("%s is left out of the product index: %s", place, error)

    def _note(self, message: Message, position: dict[str, int]) -> None:
        """Move a position past a record."""
        position[self._keys[_source(message)]] = (message.offset() or 0) + 1

    def _note_error(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            self._behind.discard(_source(message))
        else:
            _log.warning("product index: %s", error.str())

    def _start(self) -> dict[tuple[str, int], int]:
        """The offset to read from, by topic and partition."""
        stored = dict(self._index.position)
        saved_at = stored.pop(SAVED_AT, 0)
        if stored and (
            time.time() - saved_at > POSITION_VALID_S or not stored.keys() <= set(self._keys.values())
        ):
            _log.info("the product index is too old for its topics; it is built again from their beginning")
            self._index.discard()
            stored = {}
        return {source: stored.get(key, OFFSET_BEGINNING) for source, key in self._keys.items()}

    def _position_keys(self) -> dict[tuple[str, int], str]:
        """How each partition is called in the position: by its topic's id, which a topic made anew changes."""
        names = [self._vectors, self._products]
        partitions = {name: partitions_of(self._consumer, name) for name in names}
        client = admin(self._settings)  # kept: its futures fail when it goes
        try:
            described = client.describe_topics(TopicCollection(names))
            ids = {name: future.result(KAFKA_TIMEOUT_S).topic_id for name, future in described.items()}
        except (KafkaException, TimeoutError) as error:
            raise KafkaReadError(
                f"{', '.join(names)}: {error}; is Kafka up? (`twins broker status`)"
            ) from error
        return {(name, number): f"{ids[name]}-{number}" for name in names for number in partitions[name]}


def _source(message: Message) -> tuple[str, int]:
    return message.topic() or "", message.partition() or 0
