"""Messages to changes and back: what is published of a product is what an index gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from twin_store.messages import CatalogItem, ProductStatistics
from twin_store.messages.codec import BadMessage
from twin_store.products.base import CatalogPart, StatisticsPart
from twin_store.products.embedding import decode_vector, encode_vector
from twin_store.products.projection import catalog_change, revision_of, statistics_change, vector_message

ITEM = CatalogItem.model_validate(
    {
        "sku": "1",
        "updated_at": "2017-01-01T00:00:00.250Z",
        "name": "Milk",
        "section": "DAIRY",
        "item_type": "WHOLE",
        "brand": "Hof",
        "list_price": "1.99",
        "stocked_at": ["s1", "s2"],
    }
)
UNIT = np.array([0.6, 0.8], dtype=np.float32)


def test_an_item_arrives_whole() -> None:
    wire = vector_message(ITEM, "hash", "model", UNIT).to_wire()
    change, model = catalog_change(wire, digits=2)
    assert model == "model"
    assert (change.sku, change.revision) == ("1", 1_483_228_800_250)
    assert change.catalog == CatalogPart("Milk", "hash", "DAIRY", "WHOLE", "Hof", 199, ("s1", "s2"))
    assert change.vector == pytest.approx(UNIT, abs=1e-3)


def test_what_the_catalogue_does_not_say_stays_unsaid() -> None:
    bare = CatalogItem(sku="1", updated_at=ITEM.updated_at, name="Milk")
    change, _ = catalog_change(vector_message(bare, "hash", "model", UNIT).to_wire(), digits=2)
    assert change.catalog == CatalogPart("Milk", "hash")


def test_revisions_are_milliseconds() -> None:
    assert revision_of(ITEM.updated_at) == 1_483_228_800_250


def statistics(**fields: Any) -> ProductStatistics:
    return ProductStatistics.model_validate(
        {
            "sku": "1",
            "as_of": "2017-01-01T00:00:00Z",
            "revision": 7,
            "content_hash": "x",
            "lines": 3,
            "deal_share": 0.5,
            "weeks": [],
            "stores": ["s1"],
        }
        | fields
    )


def test_statistics_arrive_in_minor_units() -> None:
    change = statistics_change(statistics(price_median="2.50").to_wire(), digits=2)
    assert (change.sku, change.revision) == ("1", 7)
    assert change.statistics == StatisticsPart(250, 3, 0.5, ("s1",))
    yen = statistics_change(statistics(price_median="250").to_wire(), digits=0)
    assert yen.statistics.price == 250
    assert statistics_change(statistics().to_wire(), digits=2).statistics.price is None


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"sku": "1"}', b"\xff"])
def test_broken_messages_are_told(payload: bytes) -> None:
    with pytest.raises(BadMessage):
        catalog_change(payload, digits=2)
    with pytest.raises(BadMessage):
        statistics_change(payload, digits=2)


def test_a_price_that_is_none_is_told() -> None:
    wire = statistics(price_median="2.50").to_wire().replace(b"2.50", b"2.x0")
    with pytest.raises(BadMessage):
        statistics_change(wire, digits=2)


def test_a_vector_that_is_none_is_told() -> None:
    wire = vector_message(ITEM, "hash", "model", UNIT).to_wire()
    for broken in (b"not base64!", b"", b"AA=="):
        with pytest.raises(BadMessage) as raised:
            catalog_change(wire.replace(encode_vector(UNIT).encode(), broken), digits=2)
        assert raised.value.place == "vector"


def test_vectors_come_back_in_half_precision() -> None:
    assert decode_vector(encode_vector(UNIT)) == pytest.approx(UNIT, abs=1e-3)
    with pytest.raises(ValueError, match="finite"):
        decode_vector(encode_vector(np.array([np.nan], dtype=np.float32)))
