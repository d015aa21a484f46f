"""The market's weekly facts: the same from the lake and from messages, however often they are renewed."""

import numpy as np
import polars as pl
import pytest

from twin_store.key_index import find
from twin_store.market import ALWAYS, Market, listing_key, listing_key_compiled
from twin_store.messages import ProductStatistics
from twin_store.messages.codec import week_of_day
from twin_store.symbols import key_of

WEEK = week_of_day(19_844)  # 2024-05-01


def statistics(sku: str, weeks: dict[int, int], stores: list[str] | None = None) -> ProductStatistics:
    rows = [
        {"week": w, "lines": n, "units": n * 2.5, "net": f"{n}.00", "deal_lines": 0} for w, n in weeks.items()
    ]
    return ProductStatistics.model_validate(
        {
            "sku": sku, "as_of": "2024-05-01T12:00:00Z", "revision": 1, "content_hash": "", "lines": 1,
            "deal_share": 0, "weeks": rows, "stores": stores or [],
        }
    )  # fmt: skip


def weeks_of(market: Market, sku: str) -> list[list[int]]:
    tables = market.tables()
    row = int(find(tables.keys, tables.rows, key_of(sku)))
    rows = tables.weeks[tables.starts[row] : tables.starts[row] + tables.lengths[row]]
    return [[int(value) for value in row] for row in rows]


def since(market: Market, sku: str, store: str) -> int | None:
    tables = market.tables()
    row = int(
        find(tables.listing_keys, tables.listing_rows, listing_key_compiled(key_of(sku), key_of(store)))
    )
    return int(tables.listed_since[row]) if row >= 0 else None


def test_messages_and_the_lake_give_the_same_weeks() -> None:
    sold = {f"sku-{n}": {WEEK + n % 3: n + 1, WEEK + 5: 2} for n in range(40)}
    live = Market()
    live.put(statistics(sku, weeks) for sku, weeks in sold.items())
    rows = [
        (key_of(sku), week, lines, lines * 2500, lines * 100, 0)
        for sku, weeks in reversed(sold.items())
        for week, lines in weeks.items()
    ]
    batch = Market.from_weeks(
        pl.DataFrame(rows, ["sku_key", "week", "lines", "units", "net", "deal_lines"], orient="row")
    )
    assert len(live) == len(batch) == 40
    assert all(weeks_of(live, sku) == weeks_of(batch, sku) for sku in sold)
    np.testing.assert_array_equal(live.tables().totals, batch.tables().totals)


def test_a_newer_message_takes_the_place_of_the_older() -> None:
    market = Market()
    market.put([statistics("a", {WEEK: 1}), statistics("b", {WEEK: 7})])
    for length in (3, 40, 2):
        weeks = {WEEK + n: n + 1 for n in range(length)}
        market.put([statistics("a", weeks)])
        assert [row[:2] for row in weeks_of(market, "a")] == [list(pair) for pair in weeks.items()]
    assert market.tables().totals[WEEK] == 8
    assert market.tables().totals.sum() == 7 + 1 + 2
    assert weeks_of(market, "b") == [[WEEK, 7, 17_500, 700, 0]]


def test_a_store_lists_what_it_sold_from_the_week_it_was_heard_of() -> None:
    market = Market()
    market.put([statistics("a", {WEEK: 1}, ["s1"])])
    market.put([statistics("a", {WEEK: 1}, ["s1", "s2"])])
    assert since(market, "a", "s1") == ALWAYS
    assert since(market, "a", "s2") == WEEK
    assert since(market, "a", "s3") is None


def test_of_a_listing_named_twice_the_earliest_week_counts() -> None:
    market = Market()
    skus = np.array([key_of("a")] * 3, dtype=np.int64)
    stores = np.array([key_of("s1")] * 3, dtype=np.int64)
    market.list_at(skus, stores, np.array([9, 4, 6]))
    market.list_at(skus[:1], stores[:1], np.array([2]))
    assert since(market, "a", "s1") == 4


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("sku", "store"), ("x", "x")])
def test_listing_keys_are_the_same_compiled(one: str, other: str) -> None:
    arrays = listing_key(np.array([key_of(one)]), np.array([key_of(other)]))
    assert arrays[0] == listing_key_compiled(key_of(one), key_of(other))
