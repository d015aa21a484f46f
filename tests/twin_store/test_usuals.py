"""What is usual of products: the newest word of each counts, and a percentile is that of a plain count."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_store.messages import ProductStatistics
from twin_store.symbols import key_of
from twin_store.usuals import PRICED_MIN, Usuals, price_tiers

UNKNOWN = math.nan


def statistics(sku: str, **fields: Any) -> ProductStatistics:
    body = {"sku": sku, "as_of": "2024-01-01T00:00:00Z", "revision": 1, "content_hash": "x", "lines": 10}
    return ProductStatistics.model_validate(body | {"deal_share": 0.2, "weeks": [], "stores": []} | fields)


def usual_of(usuals: Usuals, sku: str) -> tuple[float, float]:
    tables = usuals.tables()
    (row,) = np.flatnonzero(tables.keys == key_of(sku))
    return float(tables.price[row]), float(tables.deal_share[row])


def unknown(found: Sequence[float]) -> list[bool]:
    return [math.isnan(value) for value in found]


def test_the_newest_statistics_of_a_product_count() -> None:
    usuals = Usuals()
    usuals.update({"a": statistics("a", price_median="2.50"), "b": statistics("b", price_median="0.99")})
    usuals.update({"a": statistics("a", price_median="2.75", deal_share=0.4)})
    assert usual_of(usuals, "a") == (275.0, 0.4)
    assert usual_of(usuals, "b") == (99.0, 0.2)
    assert len(usuals) == 2


def test_prices_are_in_the_minor_units_of_the_currency() -> None:
    usuals = Usuals("JPY")
    usuals.update({"a": statistics("a", price_median="250")})
    assert usual_of(usuals, "a")[0] == 250.0


def test_what_is_not_known_is_not_a_number() -> None:
    usuals = Usuals()
    usuals.update(
        {
            "unpriced": statistics("unpriced"),
            "next to nothing": statistics("next to nothing", price_median="0.00"),
            "all returned": statistics("all returned", price_median="1.00", lines=0, deal_share=0.0),
            "deleted": statistics("deleted", price_median="1.00"),
        }
    )
    usuals.update({"deleted": None, "never there": None})
    assert unknown(usual_of(usuals, "unpriced")) == [True, False]
    assert unknown(usual_of(usuals, "next to nothing")) == [True, False]
    assert unknown(usual_of(usuals, "all returned")) == [False, True]
    assert unknown(usual_of(usuals, "deleted")) == [True, True]
    assert unknown(usual_of(usuals, "never there")) == [True, True]


def test_there_is_room_for_any_number_of_products() -> None:
    usuals = Usuals()
    skus = [f"sku{n}" for n in range(1_000)]
    for start in range(0, 1_000, 100):
        usuals.update({s: statistics(s, price_median=f"{s[3:]}.50") for s in skus[start : start + 100]})
    usuals.update({})
    assert [usual_of(usuals, f"sku{n}")[0] for n in range(1_000)] == [100 * n + 50 for n in range(1_000)]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-1, 3), st.one_of(st.just(UNKNOWN), st.integers(1, 12).map(float))), max_size=60
    )
)
def test_a_tier_is_the_share_of_the_others_that_are_cheaper(products: list[tuple[int, float]]) -> None:
    """Of those that cost the same half count as cheaper."""
    groups = np.array([group for group, _ in products], dtype=np.int64)
    prices = np.array([price for _, price in products], dtype=np.float64)
    expected = []
    for group, price in products:
        peers = [p for g, p in products if g == group and not math.isnan(p)]
        if group < 0 or math.isnan(price) or len(peers) < PRICED_MIN:
            expected.append(UNKNOWN)
            continue
        cheaper, same = sum(p < price for p in peers), sum(p == price for p in peers) - 1
        expected.append((cheaper + same / 2) / (len(peers) - 1))
    assert price_tiers(groups, prices).tolist() == pytest.approx(expected, nan_ok=True)


def test_the_cheapest_of_a_section_is_0_and_the_dearest_1() -> None:
    groups = np.zeros(5, dtype=np.int64)
    assert price_tiers(groups, np.array([3.0, 1.0, 2.0, 5.0, 4.0])).tolist() == [0.5, 0.0, 0.25, 1.0, 0.75]
    assert price_tiers(groups, np.full(5, 2.0)).tolist() == [0.5] * 5
