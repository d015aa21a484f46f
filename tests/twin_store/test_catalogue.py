"""The catalogue as arrays: from messages or a frame, kept up to date, unknown where nothing was said."""

import math

import numpy as np
import polars as pl

from twin_store.catalogue import PRIVATE_UNKNOWN, UNKNOWN, Catalogue
from twin_store.key_index import ABSENT
from twin_store.messages import CatalogItem
from twin_store.symbols import key_of


def item(sku: str, **fields: object) -> CatalogItem:
    given = {"sku": sku, "updated_at": "2024-01-01T00:00:00Z", "name": sku.upper(), **fields}
    return CatalogItem.model_validate(given)


def row_of(catalogue: Catalogue, sku: str) -> int:
    return int(catalogue.rows_of(np.array([key_of(sku)], dtype=np.int64))[0])


def facts_of(catalogue: Catalogue, sku: str) -> tuple[str | None, str | None, str | None, int, float]:
    tables, row = catalogue.tables(), row_of(catalogue, sku)
    section, item_type, brand = (
        catalogue.text_of(int(codes[row])) for codes in (tables.section, tables.item_type, tables.brand)
    )
    return section, item_type, brand, int(tables.private[row]), float(tables.list_price[row])


def test_an_item_is_found_by_its_key() -> None:
    catalogue = Catalogue()
    catalogue.put(
        [item("a", section="DAIRY", item_type="WHOLE", brand="X", private_label=True, list_price="2.50")]
    )
    assert facts_of(catalogue, "a") == ("DAIRY", "DAIRY / WHOLE", "X", 1, 250.0)
    assert catalogue.name_of(key_of("a")) == "A"
    assert row_of(catalogue, "b") == ABSENT
    assert catalogue.name_of(key_of("b")) is None


def test_types_of_the_same_name_in_two_sections_are_two_types() -> None:
    catalogue = Catalogue()
    catalogue.put(
        [item("milk", section="DAIRY", item_type="WHOLE"), item("hen", section="MEAT", item_type="WHOLE")]
    )
    item_types = catalogue.tables().item_type
    assert item_types[row_of(catalogue, "milk")] != item_types[row_of(catalogue, "hen")]


def test_what_is_not_said_is_unknown() -> None:
    catalogue = Catalogue()
    catalogue.put([item("a")])
    tables = catalogue.tables()
    assert (tables.section[0], tables.item_type[0], tables.brand[0]) == (UNKNOWN, UNKNOWN, UNKNOWN)
    assert tables.private[0] == PRIVATE_UNKNOWN
    assert math.isnan(tables.list_price[0])


def test_the_last_word_on_a_sku_stands_and_a_deleted_one_is_unknown() -> None:
    catalogue = Catalogue()
    catalogue.put([item("a", section="OLD")])
    catalogue.put([item(f"other-{n}") for n in range(500)])
    catalogue.put([item("a", section="NEW", list_price="1")])
    assert facts_of(catalogue, "a")[0] == "NEW"
    catalogue.delete("a")
    catalogue.delete("never seen")
    assert facts_of(catalogue, "a")[0] is None
    assert catalogue.name_of(key_of("a")) is None
    assert len(catalogue) == 501


def test_a_frame_gives_what_the_messages_give() -> None:
    items = [
        item("a", section="DAIRY", item_type="WHOLE", brand="X", private_label=True, list_price="2.50"),
        item("b", section="DAIRY", brand="Y", private_label=False),
    ]
    from_messages = Catalogue()
    from_messages.put(items)
    frame = pl.DataFrame([i.model_dump(exclude={"updated_at", "stocked_at", "version"}) for i in items])
    from_frame = Catalogue.from_frame(frame)
    for sku in ("a", "b"):
        assert str(facts_of(from_frame, sku)) == str(facts_of(from_messages, sku))


def test_list_prices_are_minor_units_of_the_currency() -> None:
    catalogue = Catalogue("JPY")
    catalogue.put([item("a", list_price="250")])
    assert catalogue.tables().list_price[0] == 250


def test_an_update_takes_items_and_deletions() -> None:
    catalogue = Catalogue()
    catalogue.put([item("a", section="DAIRY"), item("b", section="MEAT")])
    catalogue.update({"a": None, "b": item("b", section="FISH"), "c": item("c", section="WINE"), "d": None})
    assert [facts_of(catalogue, sku)[0] for sku in "abc"] == [None, "FISH", "WINE"]
    assert row_of(catalogue, "d") == ABSENT
    assert catalogue.keys().tolist() == [key_of(sku) for sku in "abc"]
