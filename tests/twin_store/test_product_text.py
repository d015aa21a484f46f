"""Product statistics as JSON: what the message model reads back."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from twin_store.messages import ProductStatistics
from twin_store.messages.codec import FIRST_MONDAY, decode
from twin_store.product_statistics import BUCKETS, Statistics, price_bucket
from twin_store.product_text import STORES_PUBLISHED, WEEKS_PUBLISHED, StoreNames, product_texts
from twin_store.symbols import key_of, visit_name

AS_OF = datetime(2017, 7, 2, tzinfo=UTC)


def table(rows: Sequence[tuple[int, ...]], columns: int) -> np.ndarray:
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, columns)


def read(
    skus: list[str],
    weekly: Sequence[tuple[int, ...]] = (),
    prices: Sequence[tuple[int, ...]] = (),
    visits: Sequence[tuple[str, str, str | None, int]] = (),
) -> dict[str, ProductStatistics]:
    """The messages of these products; visits are (sku, channel, store, lines)."""
    symbols = {
        key_of(visit_name(channel, store)): visit_name(channel, store) for _, channel, store, _ in visits
    }
    stores = [(key_of(sku), key_of(visit_name(c, s)), lines) for sku, c, s, lines in visits]
    statistics = Statistics(table(weekly, 6), table(prices, 3), table(stores, 3))
    names = StoreNames()
    names.add(statistics.stores[:, 1], symbols)
    named = sorted(skus, key=key_of)
    changed = np.array([key_of(sku) for sku in named], dtype=np.int64)
    hashes = [f"{place:016x}" for place in range(len(named))]
    texts = product_texts(
        statistics, statistics.bounds_of(changed), named, hashes, names.table(), AS_OF, 7, 2
    )
    found = {message.sku: message for message in (decode(ProductStatistics, text) for text in texts)}
    assert [found[sku].content_hash for sku in named] == hashes
    return found


def test_each_product_has_its_own_rows() -> None:
    monday = FIRST_MONDAY + 7 * 2_470
    milk, bread = key_of("milk"), key_of("bread")
    found = read(
        ["milk", "bread", "gone"],
        [
            (milk, monday, 3, 3_500, 899, 1),
            (milk, monday + 7, 1, 1_000, 299, 1),
            (bread, monday, 2, 2_000, -5, 0),
        ],
        [(milk, price_bucket(299.0), 4), (bread, BUCKETS + price_bucket(150.0), 2)],
        [("milk", "store", "12", 4), ("bread", "web", None, 2)],
    )
    said = found["milk"]
    assert (said.lines, said.deal_share, said.revision, said.as_of) == (4, 0.5, 7, AS_OF)
    assert [(w.week, w.lines, w.units, w.net, w.deal_lines) for w in said.weeks] == [
        (2_470, 3, 3.5, "8.99", 1),
        (2_471, 1, 1.0, "2.99", 1),
    ]
    assert float(said.price_median or 0) == pytest.approx(2.99, rel=0.02)
    assert said.price_p10 == said.price_p90 == said.price_median
    assert said.stores == ["12"]
    assert [w.net for w in found["bread"].weeks] == ["-0.05"]
    assert found["bread"].stores == []
    gone = found["gone"]
    assert (gone.lines, gone.deal_share, gone.weeks, gone.stores, gone.price_median) == (0, 0.0, [], [], None)


def test_the_newest_weeks_are_told_one_by_one_and_all_of_them_add_up() -> None:
    milk = key_of("milk")
    weeks = WEEKS_PUBLISHED + 5
    said = read(["milk"], [(milk, FIRST_MONDAY + 7 * week, 1, 1_000, 100, 0) for week in range(weeks)])[
        "milk"
    ]
    assert said.lines == weeks
    assert [week.week for week in said.weeks] == list(range(5, weeks))


def test_stores_are_named_once_in_order_without_those_that_took_all_back() -> None:
    visits = [
        ("milk", "store", "b", 1), ("milk", "web", "b", 2), ("milk", "store", "a", 1), ("milk", "store", "z", 0),
        ("milk", "store", "y", -1), ("bread", "store", "c", 1),
    ]  # fmt: skip
    found = read(["milk", "bread"], visits=visits)
    assert (found["milk"].stores, found["bread"].stores) == (["a", "b"], ["c"])


def test_only_so_many_stores_are_named() -> None:
    names = [f"s{number:03d}" for number in range(STORES_PUBLISHED + 20)]
    found = read(["milk", "bread"], visits=[(sku, "store", n, 1) for sku in ("milk", "bread") for n in names])
    assert found["milk"].stores == found["bread"].stores == names[:STORES_PUBLISHED]


def test_text_from_outside_stays_text() -> None:
    odd = ['a"b', "back\\slash", 'x","stores":["y', "é", "tab\t"]
    found = read(odd, visits=[(sku, "store", name, 1) for sku in odd for name in odd])
    assert set(found) == set(odd)
    assert all(message.stores == sorted(odd) for message in found.values())


def test_a_store_that_is_new_is_in_the_next_table() -> None:
    names = StoreNames()
    for place, store in enumerate(["b", "a"]):
        visit = visit_name("store", store)
        names.add(np.array([key_of(visit)] * 2, dtype=np.int64), {key_of(visit): visit})
        assert len(names.table().starts) == 2 + place
