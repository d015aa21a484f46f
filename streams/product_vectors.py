"""Records of the vectors topic: a product's vector with its payload, or the removal of a product.

A removal is a record without a value, so its revision travels in a header. What is compacted away with it after
a week is the protection against catalogue messages that are older than the removal and come later than that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import Message

from streams.dead_letters import Origin
from streams.kafka import Record
from streams.settings import Settings
from twin_store.messages import ProductVector
from twin_store.messages.codec import BadMessage, headers_for, minor_digits
from twin_store.products import CatalogChange, Removal
from twin_store.products.projection import catalog_change, revision_of

REVISION_HEADER = "twins_revision"
EVENT_TIME_HEADER = "ce_time"
SOURCE = "/twins/indexer"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VectorRecord:
    """One record read back: what it changes, and the model that made the vector (None for a removal)."""

    change: CatalogChange | Removal
    model: str | None


def vector_record(message: ProductVector) -> Record:
    """Key, value and headers of a product's vector."""
    at = datetime.fromtimestamp(message.revision / 1000, UTC)
    return message.sku.encode(), message.to_wire(), headers_for(message, SOURCE, at)


def removal_record(removal: Removal) -> Record:
    """Key and headers of a removal; the value is null, so that compaction forgets the product."""
    return removal.sku.encode(), None, [(REVISION_HEADER, str(removal.revision).encode())]


def read_vectors(settings: Settings, messages: Iterable[Message]) -> Iterable[VectorRecord]:
    """What these records of the vectors topic say, in their order; one that says nothing is logged and left out.

    Only the indexer writes this topic, so a record that cannot be read is a defect and no dead letter.
    """
    digits = minor_digits(settings.currency)
    for message in messages:
        try:
            if message.value() is None:
                yield VectorRecord(Removal(key_text(message), _revision_header(message)), None)
            else:
                yield VectorRecord(*catalog_change(message.value(), digits))
        except BadMessage as error:
            place = f"{message.topic()}/{message.partition()}/{message.offset()}"
            _log.warning("%s is left out of the product index: %s", place, error)


def key_text(message: Message) -> str:
    """The key of a record whose key is a sku. Raises `BadMessage`."""
    key = message.key()
    if not key:
        raise BadMessage("a record of this topic needs the sku as its key")
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise BadMessage("the key is not UTF-8") from None


def removal_revision(message: Message, known: int) -> int:
    """The revision of a catalogue record without a value, which removes its product.

    It is the event time in the CloudEvents header if there is one, else `known`, the revision of the newest item
    seen: Kafka's own timestamps are of another clock than `updated_at` when history is replayed. Raises
    `BadMessage`.
    """
    header = dict(Origin.of(message).headers).get(EVENT_TIME_HEADER)
    if header is None:
        return known
    try:
        return revision_of(datetime.fromisoformat(header.decode()))
    except ValueError:
        raise BadMessage(f"{header!r} is not an RFC 3339 instant", f"header {EVENT_TIME_HEADER}") from None


def _revision_header(message: Message) -> int:
    header = dict(Origin.of(message).headers).get(REVISION_HEADER)
    if header is None or not header.isdigit():
        raise BadMessage("a removal without revision", f"header {REVISION_HEADER}")
    return int(header)
