"""What products are called: their catalogue items, looked up by sku in the catalogue topic."""

from __future__ import annotations

from collections.abc import Collection

from streams.kafka import partition_for, read_to_end
from streams.settings import Settings
from streams.topic_admin import partition_count
from streams.topics import CATALOG
from twin_store.messages import CatalogItem
from twin_store.messages.codec import BadMessage, decode


def catalogue_items(settings: Settings, skus: Collection[str]) -> dict[str, CatalogItem]:
    """The items of these skus as they stand; those that are not in the catalogue are left out.

    Raises `KafkaReadError` if the topic cannot be read.
    """
    wanted = {sku.encode() for sku in skus}
    if not wanted:
        return {}
    count = partition_count(CATALOG, settings)
    newest: dict[bytes, bytes | None] = {}
    for message in read_to_end(settings, CATALOG, only={partition_for(key, count) for key in wanted}):
        key = message.key() or b""
        if key in wanted:
            newest[key] = message.value()
    found = {}
    for key, value in newest.items():
        try:
            found[key.decode()] = decode(CatalogItem, value)
        except BadMessage:
            continue  # deleted, or the indexer has set it aside
    return found
