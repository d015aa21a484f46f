"""Between messages and the index: what is published of a product, and the change that a message is. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from twin_store.messages import CatalogItem, ProductStatistics, ProductVector
from twin_store.messages.codec import BadMessage, decode, to_minor
from twin_store.messages.wire import struct_for
from twin_store.products.base import (
    CatalogChange,
    CatalogPart,
    StatisticsChange,
    StatisticsPart,
    Vector,
)
from twin_store.products.embedding import decode_vector, encode_vector

# Statistics come a thousand times as often as catalogue items, so they are decoded the fast way.
_statistics: Any = msgspec.json.Decoder(struct_for(ProductStatistics))


def revision_of(updated_at: datetime) -> int:
    """The revision of a catalogue item: its `updated_at` in milliseconds since 1970."""
    return round(updated_at.timestamp() * 1000)


def vector_message(item: CatalogItem, text_hash: str, model: str, vector: Vector) -> ProductVector:
    """What is published of a catalogue item once its text has a vector."""
    return ProductVector(
        sku=item.sku,
        revision=revision_of(item.updated_at),
        text_hash=text_hash,
        model=model,
        vector=encode_vector(vector),
        name=item.name,
        section=item.section,
        item_type=item.item_type,
        brand=item.brand,
        list_price=item.list_price,
        stocked_at=item.stocked_at,
    )


def catalog_part(said: CatalogItem | ProductVector, text_hash: str, digits: int) -> CatalogPart:
    """What an index keeps of what the catalogue said; money with `digits` minor digits."""
    return CatalogPart(
        name=said.name,
        text_hash=text_hash,
        section=said.section,
        item_type=said.item_type,
        brand=said.brand,
        list_price=None if said.list_price is None else to_minor(said.list_price, digits),
        stocked_at=None if said.stocked_at is None else tuple(said.stocked_at),
    )


def catalog_change(payload: bytes | None, digits: int) -> tuple[CatalogChange, str]:
    """The change that a `ProductVector` message is, and the model that made its vector.

    `digits` are those of the currency's minor unit. Raises `BadMessage`.
    """
    message = decode(ProductVector, payload)
    try:
        vector = decode_vector(message.vector)
    except ValueError as error:
        raise BadMessage(str(error), "vector") from None
    catalog = catalog_part(message, message.text_hash, digits)
    return CatalogChange(message.sku, message.revision, vector, catalog), message.model


def statistics_change(payload: bytes, digits: int) -> StatisticsChange:
    """The change that a `ProductStatistics` message is. Raises `BadMessage`."""
    try:
        message = _statistics.decode(payload)
        price = None if message.price_median is None else to_minor(message.price_median, digits)
    except (msgspec.MsgspecError, ArithmeticError) as error:
        raise BadMessage(str(error)) from None
    statistics = StatisticsPart(
        price=price, lines=message.lines, deal_share=message.deal_share, stores=message.stores
    )
    return StatisticsChange(message.sku, message.revision, statistics)
