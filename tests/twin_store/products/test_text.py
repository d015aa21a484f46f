"""The text of a product says everything once, and equal items have equal hashes."""

from __future__ import annotations

from typing import Any

import pytest

from twin_store.messages import CatalogItem
from twin_store.products.text import TEXT_MAX_CHARS, text_hash, text_of


def catalog_item(**fields: Any) -> CatalogItem:
    return CatalogItem.model_validate(
        {"sku": "1", "updated_at": "2017-01-01T00:00:00Z", "name": "Milk"} | fields
    )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "milk"),
        ({"section": "DAIRY", "division": "GROCERY"}, "milk, dairy, grocery"),
        ({"item_type": "MILK", "section": "Milk"}, "milk"),
        ({"name": "Hof  MILK 50 OZ", "brand": "Hof", "package_size": "50 OZ"}, "hof milk 50 oz"),
        ({"private_label": True}, "milk, store brand"),
        ({"private_label": False}, "milk"),
        (
            {"brand": "Molkerei Süß", "description": "Fresh\n from  cows"},
            "milk, molkerei süß, fresh from cows",
        ),
        ({"name": ""}, ""),
    ],
)
def test_a_text_says_everything_once(fields: dict[str, Any], text: str) -> None:
    assert text_of(catalog_item(**fields)) == text


def test_a_text_is_bounded() -> None:
    assert len(text_of(catalog_item(description="word " * 500 + "x" * 1_000))) <= TEXT_MAX_CHARS


def test_price_and_stock_are_no_part_of_the_text() -> None:
    plain = catalog_item()
    priced = catalog_item(list_price="1.99", stocked_at=["s1"], updated_at="2018-01-01T00:00:00Z", sku="2")
    assert text_of(plain) == text_of(priced)


def test_hashes_tell_texts_apart() -> None:
    hashes = {text_hash(text) for text in ("", "a", "b", "ab", "a, b")}
    assert len(hashes) == 5
    assert all(len(each) == 32 for each in hashes)
