"""The indexer: catalogue items in, vectors out, each text embedded once.

It runs in the exactly-once lane. Embedding twice would do no harm, but a member that has lost its partitions and
writes on could leave an older vector as the newest record of its key, which compaction would then keep.

What is published already is read from the vectors topic at the start and after every rebalance: an item that says
nothing new is not published, and a text that has a vector is not embedded.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import Message

from streams.batch import Batch, Outbox, Source
from streams.dead_letters import dead_letter_record
from streams.errors import TwinsError
from streams.lane import Lane
from streams.product_index import IndexFollower, server_index
from streams.product_vectors import key_text, read_vectors, removal_record, removal_revision, vector_record
from streams.settings import Settings
from streams.tables import PROCESS_PATIENCE_S, GlobalTable
from streams.telemetry import StagedCounts, Telemetry
from streams.topics import CATALOG, DEAD_LETTERS, VECTORS, Topic
from twin_store.messages import CatalogItem
from twin_store.messages.codec import BadMessage, decode, minor_digits
from twin_store.products import CatalogChange, CatalogPart, ProductIndexError, Removal
from twin_store.products.embedding import Embedder, SentenceEmbedder, TextVectors
from twin_store.products.projection import catalog_part, revision_of, vector_message
from twin_store.products.text import text_hash, text_of

NAME = "indexer"
# Few enough that embedding long descriptions on a slow CPU stays well within a transaction's time.
BATCH_MAX = 500
LINGER_MS = 200


def run(
    settings: Settings, stop: threading.Event, telemetry: Telemetry | None = None, member: str = "0"
) -> None:
    """Publish vectors until `stop` is set, and keep the Qdrant server up to date if there is one.

    Raises:
        TwinsError: the model or the server is not to be had, or the topic holds another model's vectors.
    """
    embedder = load_embedder(settings)
    server = None
    if settings.qdrant_url:
        server = IndexFollower(settings, server_index(settings, embedder.dimension), NAME)
        server.start()
    telemetry = telemetry or Telemetry(NAME, settings)
    indexer = Indexer(settings, TextVectors(embedder), telemetry)
    lag = telemetry.gauge("lag", "Catalogue records not taken yet")

    def alive() -> None:
        telemetry.beat()
        telemetry.ready(bool(lane.partitions) and not indexer.due())
        lag.set(lane.lag())

    lane = Lane(
        settings,
        NAME,
        member,
        CATALOG,
        (),
        indexer,
        batch_max=BATCH_MAX,
        linger_ms=LINGER_MS,
        on_round=alive,
    )
    try:
        lane.run(stop)
    finally:
        telemetry.ready(False)
        if server is not None:
            server.close()


def load_embedder(settings: Settings) -> Embedder:
    """The embedding model of the settings. Raises `TwinsError` if it is not to be had."""
    try:
        return SentenceEmbedder(settings.embedding_model)
    except ProductIndexError as error:
        raise TwinsError(str(error)) from error


class Published(NamedTuple):
    """What the vectors topic holds of a sku. `content` is a hash of it, None once it is removed."""

    revision: int
    content: int | None


class Said(NamedTuple):
    """What a catalogue record says of a sku: the item, or None where it is removed."""

    sku: str
    revision: int
    item: CatalogItem | None


def published(settings: Settings, vectors: TextVectors | None = None) -> dict[str, Published]:
    """What the vectors topic holds, by sku; `vectors` are given those of the texts that were embedded.

    Raises `TwinsError` if some are of another model than the settings name.
    """
    found: dict[str, Published] = {}
    foreign: dict[str, str] = {}

    def take(messages: list[Message]) -> None:
        for record in read_vectors(settings, messages):
            change = record.change
            foreign.pop(change.sku, None)
            if not isinstance(change, CatalogChange):
                found[change.sku] = Published(change.revision, None)
                continue
            found[change.sku] = Published(change.revision, hash(change.catalog))
            if record.model != settings.embedding_model:
                foreign[change.sku] = str(record.model)
            elif vectors is not None:
                vectors.remember(change.catalog.text_hash, change.vector)

    table = GlobalTable(settings, VECTORS, take, PROCESS_PATIENCE_S)
    try:
        table.load()
    finally:
        table.close()
    if foreign and vectors is not None:
        raise TwinsError(
            f"{len(foreign)} published vectors are of model {next(iter(foreign.values()))}, the settings name "
            f"{settings.embedding_model}; embed everything again with `twins products rebuild`"
        )
    return found


class Indexer:
    """The lane's handler. `known` is what is published; in a lane it is read when partitions are assigned."""

    def __init__(
        self,
        settings: Settings,
        vectors: TextVectors,
        telemetry: Telemetry,
        known: dict[str, Published] | None = None,
    ) -> None:
        self.known = known or {}
        self._settings = settings
        self._digits = minor_digits(settings.currency)
        self._vectors = vectors
        self._must_load = False
        self._staged: dict[str, Published] = {}
        self._counts = StagedCounts()
        self._items = telemetry.counter("items", "Catalogue records taken")
        self._published = telemetry.counter("published", "Vectors and removals published")
        self._embedded = telemetry.counter("embedded", "Distinct texts embedded")
        self._rejected = telemetry.counter("rejected", "Catalogue records sent to the dead letters")

    def assigned(self, partition: int, committed: Mapping[Topic, int]) -> None:
        """Another member may have published meanwhile: read again what is there."""
        self._must_load = True

    def revoked(self, partition: int) -> None:
        """Nothing is held for a partition."""

    def due(self) -> bool:
        """Whether what is published is still to be read."""
        return self._must_load

    def handle(self, batch: Batch, outbox: Outbox) -> Mapping[Source, int | None]:
        """Publish what is new in a batch of catalogue records; the newest of a sku stands for the others."""
        if self._must_load:
            self.known = published(self._settings, self._vectors)
            self._must_load = False
        newest: dict[str, Said] = {}
        for messages in batch.records.values():
            self._counts.add(self._items, len(messages))
            for message in messages:
                try:
                    said = self._read(message, newest)
                    if self._is_news(said, newest):
                        newest[said.sku] = said
                except BadMessage as error:
                    outbox.send(DEAD_LETTERS, *dead_letter_record(message, f"{NAME}.decode", error))
                    self._counts.add(self._rejected)
        self._publish(newest.values(), outbox)
        return {}

    def committed(self) -> None:
        """What was published is known from now on."""
        self.known.update(self._staged)
        self._staged.clear()
        self._counts.committed()

    def aborted(self) -> None:
        """What was published never was."""
        self._staged.clear()
        self._counts.aborted()

    def _read(self, message: Message, newest: Mapping[str, Said]) -> Said:
        """What a record says. Raises `BadMessage`."""
        sku = key_text(message)
        if message.value() is None:
            before = self._before(sku, newest)
            return Said(sku, removal_revision(message, before.revision if before else 0), None)
        item = decode(CatalogItem, message.value())
        if item.sku != sku:
            raise BadMessage(
                f"the key is {sku!r}; it must be the sku, by which the topic is compacted", "sku"
            )
        return Said(sku, revision_of(item.updated_at), item)

    def _is_news(self, said: Said, newest: Mapping[str, Said]) -> bool:
        """Whether it stands against what is known. At the revision of a removal, the removal stands."""
        before = self._before(said.sku, newest)
        if before is None:
            return True
        return said.revision > before.revision or (
            said.revision == before.revision and before.content is not None
        )

    def _before(self, sku: str, newest: Mapping[str, Said]) -> Published | None:
        """What stands of a sku after the records of this batch so far; their content is not hashed yet."""
        if (said := newest.get(sku)) is not None:
            return Published(said.revision, None if said.item is None else 0)
        return self.known.get(sku)

    def _publish(self, said: Iterable[Said], outbox: Outbox) -> None:
        texts: dict[str, str] = {}
        parts: list[tuple[Said, CatalogItem, CatalogPart]] = []
        for each in said:
            if each.item is None:
                self._stage(each, None)
                outbox.send(VECTORS, *removal_record(Removal(each.sku, each.revision)))
                continue
            text = text_of(each.item)
            part = catalog_part(each.item, text_hash(text), self._digits)
            if self.known.get(each.sku) != Published(each.revision, hash(part)):
                texts[part.text_hash] = text
                parts.append((each, each.item, part))
        embedded = self._vectors.embedded
        vectors = self._vectors.embed(texts)
        self._embedded.inc(self._vectors.embedded - embedded)
        for each, item, part in parts:
            vector = vectors[part.text_hash]
            message = vector_message(item, part.text_hash, self._settings.embedding_model, vector)
            self._stage(each, hash(part))
            outbox.send(VECTORS, *vector_record(message))
        self._counts.add(self._published, len(self._staged))

    def _stage(self, said: Said, content: int | None) -> None:
        self._staged[said.sku] = Published(said.revision, content)
