"""Carries the vectors and statistics topics into a product index, and remembers how far it has come.

The two halves of a product may come in any order and any number of times (see `twin_store.products.base`), so
delivery is at least once: what was applied after the last checkpoint is applied again after a restart.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence

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
# Waiting this long for records to come together lets one write stand for all of a product's.
COALESCE_S = 0.5
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
    """

    def __init__(self, settings: Settings, index: ProductIndex, name: str) -> None:
        """Start where the index says it has come to, or at the beginning.

        An index that was away too long, or that was filled from topics since made anew, is emptied. Raises
        `KafkaReadError` if Kafka does not answer or the topics do not exist.
        """
        self.applied = 0
        self.left_out = 0
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
        self._dirty = False
        self._checkpoint_at = time.monotonic() + CHECKPOINT_EVERY_S

    @property
    def caught_up(self) -> bool:
        """Whether everything that the topics held when this feed started has been applied."""
        return not self._behind

    def poll(self, stop: threading.Event) -> None:
        """Apply what has come, waiting a moment for more; retry until `stop` if the index does not take it."""
        messages = self._consumer.consume(RECORDS_AT_ONCE, COALESCE_S)
        records = [message for message in messages if message.error() is None]
        if records and not self._apply(records, stop):
            return
        was_behind = bool(self._behind)
        for message in messages:
            self._note(message)
        now = time.monotonic()
        if self._dirty and (now >= self._checkpoint_at or (was_behind and not self._behind)):
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

    def _apply(self, records: Sequence[Message], stop: threading.Event) -> bool:
        """Apply records; False if `stop` came before the index took them."""
        changes = [*self._vector_changes(records), *self._statistics_changes(records)]
        while True:
            try:
                self.applied += self._index.apply(changes)
                return True
            except ProductIndexError as error:
                _log.warning("product index: %s; trying again", error)
                if stop.wait(RETRY_S):
                    return False

    def _vector_changes(self, records: Sequence[Message]) -> Iterable[Change]:
        newest = _newest(message for message in records if message.topic() == self._vectors)
        for record in read_vectors(self._settings, newest):
            if record.model in (None, self._settings.embedding_model):
                yield record.change
            else:
                self.left_out += 1

    def _statistics_changes(self, records: Sequence[Message]) -> Iterable[StatisticsChange]:
        for message in _newest(message for message in records if message.topic() == self._products):
            try:
                if (value := message.value()) is not None:
                    yield statistics_change(value, self._digits)
            except BadMessage as error:
                place = f"{message.topic()}/{message.partition()}/{message.offset()}"
                _log.warning("%s is left out of the product index: %s", place, error)

    def _note(self, message: Message) -> None:
        """Move the position past a record that is applied, or note the end of a partition."""
        error = message.error()
        source = (message.topic() or "", message.partition() or 0)
        if error is None:
            self._position[self._keys[source]] = (message.offset() or 0) + 1
            self._dirty = True
        elif error.code() == KafkaError._PARTITION_EOF:
            self._behind.discard(source)
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


def _newest(messages: Iterable[Message]) -> Iterable[Message]:
    """The last of each key, which stands for those before it."""
    return {message.key(): message for message in messages}.values()
