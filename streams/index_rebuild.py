"""Embeds the whole catalogue again, from the catalogue topic, and publishes every vector anew.

For a new embedding model, a lost Qdrant server, or a doubt. It writes under the indexer's own transactional id:
an indexer that runs or is started meanwhile and this command exclude each other, so that neither can leave a
vector that is older than the other's.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from confluent_kafka import ConsumerGroupState, KafkaException, Message

from streams import indexer
from streams.batch import Batch
from streams.errors import TwinsError
from streams.kafka import Headers, admin, group_name, producer, read_to_end, topic_name
from streams.lane import KAFKA_TIMEOUT_S
from streams.product_index import IndexFollower, server_index
from streams.product_vectors import removal_record
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topics import CATALOG, DEAD_LETTERS, VECTORS, Topic
from twin_store.products import Removal
from twin_store.products.embedding import TextVectors

MEMBER = "0"
READ_TIMEOUT_S = 600.0  # embedding a batch takes its time, and the topic is not read meanwhile
LEAVING_S = 3.0
NOBODY = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)
NOT_THE_SAME = -1  # no content hashes to it: whatever an item says, it is published


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild did. `removed` were published and are no longer in the catalogue."""

    products: int
    texts: int
    removed: int
    rejected: int
    seconds: float


def rebuild(settings: Settings, progress: Callable[[int], None] = lambda _taken: None) -> Rebuilt:
    """Embed and publish the whole catalogue; `progress` is told how many records have been taken.

    With a Qdrant server its collection is emptied first and filled again. Raises `TwinsError` if an indexer runs
    or is started meanwhile, or if the model, the server or Kafka is not to be had.
    """
    started = time.monotonic()
    _require_no_indexer(settings)
    embedder = indexer.load_embedder(settings)
    before = indexer.published(settings)
    stale = {
        sku: held if held.content is None else held._replace(content=NOT_THE_SAME)
        for sku, held in before.items()
    }
    vectors = TextVectors(embedder)
    handler = indexer.Indexer(settings, vectors, Telemetry("rebuild", settings), known=stale)
    outbox = _Outbox(settings)
    seen: set[str] = set()
    taken = 0
    for messages in _batches(read_to_end(settings, CATALOG, READ_TIMEOUT_S)):
        with outbox.transaction():
            handler.handle(Batch({(CATALOG, 0): messages}), outbox)
        handler.committed()
        seen.update((m.key() or b"").decode(errors="replace") for m in messages if m.value() is not None)
        taken += len(messages)
        progress(taken)
    there = [sku for sku, held in before.items() if held.content is not None]
    forgotten = [sku for sku in there if sku not in seen]
    with outbox.transaction():
        for sku in forgotten:
            outbox.send(VECTORS, *removal_record(Removal(sku, before[sku].revision)))
    if settings.qdrant_url:
        _fill_server(settings, embedder.dimension)
    products = sum(held.content not in (None, NOT_THE_SAME) for held in handler.known.values())
    return Rebuilt(
        products=products,
        texts=vectors.embedded,
        removed=len(forgotten) + sum(handler.known[sku].content is None for sku in there),
        rejected=outbox.sent[DEAD_LETTERS],
        seconds=time.monotonic() - started,
    )


class _Outbox:
    """The lane's outbox outside a lane: transactions without a consumer. `sent` counts by topic."""

    def __init__(self, settings: Settings) -> None:
        self.sent: Counter[Topic] = Counter()
        self._settings = settings
        self._producer = producer(settings, transactional_id=f"{indexer.NAME}-{MEMBER}")
        with _fenced_is_told():
            self._producer.init_transactions(KAFKA_TIMEOUT_S)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is sent inside becomes visible at the end, or never."""
        with _fenced_is_told():
            self._producer.begin_transaction()
            try:
                yield
            except BaseException:
                self._producer.abort_transaction(KAFKA_TIMEOUT_S)
                raise
            self._producer.commit_transaction(KAFKA_TIMEOUT_S)

    def send(
        self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers = (), partition: int = -1
    ) -> None:
        """See `Outbox.send`."""
        self.sent[topic] += 1
        self._producer.produce(
            topic_name(self._settings, topic), value, key, partition, headers=list(headers)
        )


@contextmanager
def _fenced_is_told() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise TwinsError(
            f"rebuilding the product index: {error.args[0].str()}; was an indexer started meanwhile? "
            "Stop it, and run the command again"
        ) from error


def _require_no_indexer(settings: Settings) -> None:
    """Raise `TwinsError` if the indexer's group has members; one that has just stopped takes a moment to leave."""
    group = group_name(settings, indexer.NAME)
    client = admin(settings)  # kept: its answers come only as long as it lives
    deadline = time.monotonic() + LEAVING_S
    while True:
        try:
            listed = client.list_consumer_groups().result(KAFKA_TIMEOUT_S).valid
        except (KafkaException, TimeoutError) as error:
            raise TwinsError(
                f"the consumer groups could not be listed ({error}); is Kafka up? (`twins broker status`)"
            ) from error
        if not any(each.group_id == group and each.state not in NOBODY for each in listed):
            return
        if time.monotonic() > deadline:
            raise TwinsError(
                f"an indexer runs in consumer group {group}; stop it first "
                "(one that was killed is forgotten after some seconds)"
            )
        time.sleep(0.2)


def _fill_server(settings: Settings, dimension: int) -> None:
    index = server_index(settings, dimension)
    try:
        index.discard()
        follower = IndexFollower(settings, index, "rebuild")
        try:
            follower.catch_up()
        finally:
            follower.close()
    finally:
        index.close()


def _batches(messages: Iterable[Message]) -> Iterator[list[Message]]:
    source = iter(messages)
    while batch := list(islice(source, indexer.BATCH_MAX)):
        yield batch
