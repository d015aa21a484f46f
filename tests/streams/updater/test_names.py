"""What profiles are read by: catalogue and statistics of the moment, together or alone, and never the twin's state."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest

from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import PRODUCTS, PROFILES, TRANSACTIONS
from streams.updater import names as names_module
from streams.updater.names import LiveNames
from tests.streams.catalogue_feed import item, publish, statistics, until
from tests.streams.updater.deployment import Deployment
from tests.streams.updater.messages import sale
from twin_store.catalogue import Catalogue
from twin_store.dna.preferences import (
    BRAND,
    DEAL_SHARE,
    F_GROUP,
    F_USUAL,
    PRICE,
    SECTION,
    TIER,
    TYPE,
    product_row,
)
from twin_store.dna.profile import ProductNames
from twin_store.key_index import ABSENT
from twin_store.messages import ProductStatistics
from twin_store.messages.codec import decode
from twin_store.product_names import product_names
from twin_store.symbols import key_of
from twin_store.usuals import Usuals

PRICES = {"oat": "1.00", "rice": "2.00", "spelt": "3.00", "rye": "4.00", "wheat": "5.00"}


def stock(prices: dict[str, str]) -> tuple[Catalogue, Usuals]:
    """Grains of one section, each of a type of its own, half of its lines on a deal."""
    catalogue, usuals = Catalogue(), Usuals()
    catalogue.put([item(sku, sku, section="GRAINS", item_type=sku.upper(), brand="B") for sku in prices])
    usuals.update({sku: statistics(sku, 1, price, []) for sku, price in prices.items()})
    return catalogue, usuals


def facts_of(names: ProductNames, sku: str) -> dict[str, Any]:
    """What is known of a product by these names; what is not is left out."""
    products = names.products
    row = product_row(products.slots, key_of(sku))
    assert row != ABSENT
    texts = {
        "section": (names.sections, SECTION),
        "type": (names.types, TYPE),
        "brand": (names.brands, BRAND),
    }
    found: dict[str, Any] = {
        name: known[int(products.facts[row, F_GROUP + level])]
        for name, (known, level) in texts.items()
        if products.facts[row, F_GROUP + level] >= 0
    }
    for name, column in (("tier", TIER), ("price", PRICE), ("deal_share", DEAL_SHARE)):
        value = float(products.facts[row, F_USUAL + column])
        if not math.isnan(value):
            found[name] = value
    return found


def test_a_product_has_the_groups_of_the_catalogue_and_the_levels_of_its_statistics() -> None:
    names = product_names(*stock(PRICES))
    assert facts_of(names, "spelt") == {
        "section": "GRAINS", "type": "GRAINS / SPELT", "brand": "B", "tier": 0.5, "price": 300.0,
        "deal_share": 0.5,
    }  # fmt: skip
    assert facts_of(names, "oat")["tier"] == 0.0
    assert facts_of(names, "wheat")["tier"] == 1.0
    assert names.products.counts.tolist() == [1, 5, 1]


def test_what_only_one_of_the_two_knows_is_known_by_that() -> None:
    catalogue, usuals = stock(PRICES)
    catalogue.put([item("new", "New", section="GRAINS")])
    usuals.update({"unlisted": statistics("unlisted", 1, "0.10", [])})
    catalogue.delete("rye")
    names = product_names(catalogue, usuals)
    assert facts_of(names, "new") == {"section": "GRAINS"}
    assert facts_of(names, "unlisted") == {"price": 10.0, "deal_share": 0.5}
    assert facts_of(names, "rye") == {"price": 400.0, "deal_share": 0.5}
    assert "tier" not in facts_of(names, "oat"), "four are too few to compare"
    assert facts_of(product_names(Catalogue(), usuals), "oat") == {"price": 100.0, "deal_share": 0.5}
    assert facts_of(product_names(catalogue, Usuals()), "oat") == {
        "section": "GRAINS", "type": "GRAINS / OAT", "brand": "B",
    }  # fmt: skip
    assert not product_names(Catalogue(), Usuals()).products.slots.any()


def test_names_stay_what_they_are_while_catalogue_and_statistics_grow() -> None:
    catalogue, usuals = stock(PRICES)
    names = product_names(catalogue, usuals)
    before = facts_of(names, "rice")
    later = {f"sku{n}": "9.00" for n in range(200)}
    catalogue.put([item(sku, sku, section="OTHER") for sku in later])
    usuals.update({sku: statistics(sku, 2, "9.00", []) for sku in (*later, "rice")})
    assert facts_of(names, "rice") == before
    assert product_row(names.products.slots, key_of("sku1")) == ABSENT


def test_profiles_say_how_she_buys_once_statistics_are_published(offline_settings: Settings) -> None:
    catalogue, usuals = stock(PRICES)[0], Usuals()
    named = Deployment(offline_settings, names=lambda: product_names(catalogue, usuals))
    unnamed = Deployment(offline_settings)

    def buy(customer: str, day: int, sku: str, discount: str = "0") -> None:
        net = f"{float(PRICES[sku]) - float(discount):.2f}"
        receipt = sale(day, [{"sku": sku, "net": net, "discount": discount}], customer)
        for shop in (named, unnamed):
            shop.publish(TRANSACTIONS, customer, receipt)

    for day, sku in enumerate(PRICES):
        buy("seeker", day, sku, "0.50")
        buy("other", day, sku)
    named.drain()
    first = named.newest(PROFILES)["seeker"]["dna"]
    assert (first["price_tier"], first["price_index"], first["promotion"]["deal_lift"]) == (None, None, None)
    assert [each["category"] for each in first["categories"]] == ["GRAINS"]
    assert len(first["types"]) == 5

    usuals.update(
        {
            (record.key or b"").decode(): decode(ProductStatistics, record.value)
            for record in named.records(PRODUCTS)
        }
    )
    buy("seeker", 9, "oat", "0.50")
    named.drain()
    found = named.newest(PROFILES)["seeker"]["dna"]
    assert found["price_tier"] == pytest.approx((0 + 0.25 + 0.5 + 0.75 + 1 + 0) / 6, abs=1e-3)
    # 3.00 saved of 16.00 at shelf prices, which are counted in steps of 2 %; half of all lines were on a deal.
    assert found["price_index"] == pytest.approx(13 / 16, rel=0.02)
    assert found["promotion"]["deal_lift"] == pytest.approx(2.0)
    (grains,) = found["categories"]
    assert (grains["price_tier"], grains["price_index"]) == (found["price_tier"], found["price_index"])
    oats = next(each for each in found["types"] if each["category"] == "GRAINS / OAT")
    assert (oats["lines"], oats["price_tier"]) == (2, 0.0)
    assert oats["price_index"] == pytest.approx(0.5, rel=0.02)

    unnamed.drain()
    assert named.hashes() == unnamed.hashes(), "the twin holds nothing of it"


@pytest.mark.broker
def test_both_topics_are_followed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "REBUILD_S", 0.0)
    monkeypatch.setattr(names_module, "POLL_S", 0.0)
    settings = settings.model_copy(update={"partitions": 2})
    apply_topics(settings)
    publish(settings, *(item(sku, sku, section="GRAINS") for sku in PRICES))
    publish(settings, *(statistics(sku, 1, price, []) for sku, price in PRICES.items()))
    with contextlib.closing(LiveNames(settings)) as live:
        assert facts_of(live.current(), "rice") == {
            "section": "GRAINS", "tier": 0.25, "price": 200.0, "deal_share": 0.5,
        }  # fmt: skip

        def rice(section: str, price: float | None) -> bool:
            live.refresh()
            found = facts_of(live.current(), "rice")
            return (found.get("section"), found.get("price")) == (section, price)

        publish(settings, ("rice", b"no item"), statistics("rice", 2, "6.00", []))
        until(lambda: rice("GRAINS", 600.0))
        publish(settings, item("rice", "Rice", 2, section="STAPLES"))
        until(lambda: rice("STAPLES", 600.0))
