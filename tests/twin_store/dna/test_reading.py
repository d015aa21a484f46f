"""What is read from a twin's tables, against plain dictionaries."""

import math
import random
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_store.dna.layout import CELL_COLUMNS, READ_WEEKS, VISIT_COLUMNS
from twin_store.dna.reading import (
    GROUPS_MAX,
    REGULAR_DAYS_MIN,
    REGULARS_MAX,
    Products,
    regular_items,
    top_groups,
    visits_by_key,
    window_totals,
)
from twin_store.key_index import KeyIndex

MANY = settings(max_examples=150, deadline=None)
AS_OF = 18_000
WINDOW = 7 * READ_WEEKS
SKUS = tuple(range(-20, 20))
UNKNOWN = math.nan
LINES, UNITS, NET, DISCOUNT, COUPON, DEAL, COUPON_LINES = range(7)
Rows = dict[tuple[int, int], tuple[int, ...]]


@dataclass(frozen=True)
class Product:
    """What the catalogue says of a sku; -1 and NaN where it does not."""

    section: int
    brand: int
    tier: float


def products(catalogue: dict[int, Product]) -> Products:
    index = KeyIndex()
    index.add(np.array(list(catalogue), dtype=np.int64))
    rows = list(catalogue.values())
    section, brand = (
        np.array([getattr(row, name) for row in rows], dtype=np.int64) for name in ("section", "brand")
    )
    return Products(index.keys, index.rows, section, brand, np.array([row.tier for row in rows]), 15, 15)


def table(rows: Rows, columns: int) -> np.ndarray:
    """Rows as a sorted table; columns that are not given are zero."""
    out = np.zeros((len(rows), columns), dtype=np.int64)
    for i, (key, values) in enumerate(sorted(rows.items())):
        out[i, : 2 + len(values)] = (*key, *values)
    return out


catalogues = st.dictionaries(
    st.sampled_from(SKUS),
    st.builds(Product, st.integers(-1, 14), st.integers(-1, 14), st.sampled_from((0.0, 0.25, 1.0, UNKNOWN))),
)
# Around every edge of a window, and anywhere.
days = st.one_of(
    st.sampled_from([AS_OF - age for age in (0, 27, 28, 83, 84, WINDOW - 1, WINDOW, WINDOW + 1)]),
    st.integers(AS_OF - 2 * WINDOW, AS_OF),
)
measures = st.tuples(
    st.integers(0, 3), st.integers(0, 4), st.integers(-5, 900), st.integers(0, 50), st.integers(0, 20),
    st.integers(0, 2), st.integers(0, 2),
)  # fmt: skip
bought = st.dictionaries(st.tuples(st.sampled_from(SKUS), days), measures, max_size=60)


@MANY
@given(bought, catalogues)
def test_sums_are_those_of_the_window(cells: Rows, catalogue: dict[int, Product]) -> None:
    inside = {key: row for key, row in cells.items() if key[1] > AS_OF - WINDOW}

    def total(*columns: int, newest: int = WINDOW, oldest: int = 0) -> int:
        return sum(
            row[c] for (_, day), row in inside.items() for c in columns if oldest <= AS_OF - day < newest
        )

    found = window_totals(table(cells, CELL_COLUMNS), table({}, VISIT_COLUMNS), AS_OF, products(catalogue))
    assert (found.lines, found.net) == (total(LINES), total(NET))
    assert (found.discount, found.deal_lines) == (total(DISCOUNT, COUPON), total(DEAL))
    assert found.coupon_lines == total(COUPON_LINES)
    assert found.recent_net == total(NET, newest=28)
    assert found.before_net == total(NET, newest=84, oldest=28)
    weights = [
        (catalogue[sku].tier, row[LINES])
        for (sku, _), row in inside.items()
        if sku in catalogue and not math.isnan(catalogue[sku].tier)
    ]
    lines = sum(n for _, n in weights)
    expected = sum(tier * n for tier, n in weights) / lines if lines else math.nan
    assert found.price_tier == pytest.approx(expected, nan_ok=True)


@MANY
@given(st.dictionaries(st.tuples(st.integers(-3, 3), days), st.tuples(*[st.integers(1, 9)] * 4), max_size=30))
def test_visits_add_up_by_store_and_channel(visits: Rows) -> None:
    inside = {key: row for key, row in visits.items() if key[1] > AS_OF - WINDOW}
    expected: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for (key, _), (receipts, _, net, _) in inside.items():
        expected[key][0] += receipts
        expected[key][1] += net
    rows = table(visits, VISIT_COLUMNS)
    keys, receipts, net = (column.tolist() for column in visits_by_key(rows, AS_OF))
    assert {k: [r, n] for k, r, n in zip(keys, receipts, net, strict=True)} == expected
    found = window_totals(table({}, CELL_COLUMNS), rows, AS_OF, products({}))
    assert found.receipts == sum(row[0] for row in inside.values())
    assert (found.receipt_lines, found.receipt_net) == tuple(
        sum(r[c] for r in inside.values()) for c in (1, 2)
    )


@MANY
@given(bought, catalogues, st.booleans())
def test_the_largest_groups_come_first(cells: Rows, catalogue: dict[int, Product], by_brand: bool) -> None:
    lines: dict[int, int] = defaultdict(int)
    tiers: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for (sku, day), row in cells.items():
        product = catalogue.get(sku, Product(-1, -1, UNKNOWN))
        code = product.brand if by_brand else product.section
        if day > AS_OF - WINDOW and code >= 0 and row[LINES]:
            lines[code] += row[LINES]
            if not math.isnan(product.tier):
                tiers[code].append((product.tier, row[LINES]))
    expected = sorted(lines, key=lambda code: (-lines[code], code))[:GROUPS_MAX]
    codes, counts, found_tiers = top_groups(table(cells, CELL_COLUMNS), AS_OF, products(catalogue), by_brand)
    assert codes.tolist() == expected
    assert counts.tolist() == [lines[code] for code in expected]
    for code, tier in zip(expected, found_tiers.tolist(), strict=True):
        weight = sum(n for _, n in tiers[code])
        mean = sum(t * n for t, n in tiers[code]) / weight if weight else math.nan
        assert tier == pytest.approx(mean, nan_ok=True)


@pytest.mark.parametrize("seed", range(40))
def test_regular_items_are_those_bought_on_the_most_days(seed: int) -> None:
    choose = random.Random(seed)
    cells: Rows = {
        (choose.randrange(30), AS_OF - choose.randrange(WINDOW + 30)): (
            choose.randrange(3), choose.randrange(4), 100, 0, 0, 0, 0
        )
        for _ in range(choose.randrange(400))
    }  # fmt: skip
    dates: dict[int, list[int]] = defaultdict(list)
    for (sku, day), row in cells.items():
        if day > AS_OF - WINDOW and row[LINES] and row[UNITS]:
            dates[sku].append(day)
    regular = {sku: sorted(when) for sku, when in dates.items() if len(when) >= REGULAR_DAYS_MIN}
    order = sorted(regular, key=lambda sku: (-len(regular[sku]), -regular[sku][-1], sku))[:REGULARS_MAX]
    assert regular_items(table(cells, CELL_COLUMNS), AS_OF).tolist() == [
        [sku, len(regular[sku]), regular[sku][0], regular[sku][-1]] for sku in order
    ]
