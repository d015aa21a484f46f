"""What a customer prefers, against plain dictionaries."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin_store.dna.cells import (
    AS_OF,
    DEAL,
    LINES,
    MANY,
    NET,
    PRICED,
    SKUS,
    UNITS,
    WINDOW,
    Rows,
    bought,
    table,
)
from twin_store.dna.layout import CELL_COLUMNS
from twin_store.dna.preferences import (
    GROUPS_MAX,
    LEVELS,
    Groups,
    Preferences,
    Products,
    preferences,
    products_table,
)
from twin_store.key_index import KeyIndex

CODES = 15
UNKNOWN = math.nan


@dataclass(frozen=True)
class Product:
    """What is known of a sku; -1 and NaN where nothing is."""

    section: int = -1
    item_type: int = -1
    brand: int = -1
    tier: float = UNKNOWN
    price: float = UNKNOWN
    deal_share: float = UNKNOWN


Known = dict[int, Product]
Bought = list[tuple[Product, tuple[int, ...]]]


def products(known: Known) -> Products:
    index = KeyIndex()
    index.add(np.array(list(known), dtype=np.int64))
    groups = [(each.section, each.item_type, each.brand) for each in known.values()]
    usual = [(each.tier, each.price, each.deal_share) for each in known.values()]
    return products_table(
        index,
        np.array(groups, dtype=np.int64).reshape(-1, LEVELS),
        np.array(usual, dtype=np.float64).reshape(-1, 3),
        np.full(LEVELS, CODES),
    )


def read(cells: Rows, known: Known) -> Preferences:
    return preferences(table(cells, CELL_COLUMNS), AS_OF, products(known))


def window_of(cells: Rows, known: Known) -> Bought:
    """What was bought within the window of products that are known."""
    return [
        (known[sku], row)
        for (sku, day), row in cells.items()
        if day > AS_OF - WINDOW and row[LINES] and sku in known
    ]


def ratio(pairs: Iterable[tuple[float, float]]) -> float:
    parts, wholes = [*zip(*pairs, strict=True)] or [(), ()]
    return sum(parts) / sum(wholes) if sum(wholes) else UNKNOWN


def price_tier(rows: Bought) -> float:
    return ratio((p.tier * row[LINES], row[LINES]) for p, row in rows if not math.isnan(p.tier))


def price_index(rows: Bought) -> float:
    return ratio(
        (row[NET], p.price * row[UNITS] / 1000)
        for p, row in rows
        if not math.isnan(p.price) and row[PRICED] == row[LINES] and row[UNITS]
    )


def deal_lift(rows: Bought) -> float:
    return ratio((row[DEAL], p.deal_share * row[LINES]) for p, row in rows if not math.isnan(p.deal_share))


codes = st.integers(-1, CODES - 1)
known_products = st.dictionaries(
    st.sampled_from(SKUS),
    st.builds(
        Product, codes, codes, codes, st.sampled_from((0.0, 0.25, 1.0, UNKNOWN)),
        st.sampled_from((1.0, 99.0, 250.0, UNKNOWN)), st.sampled_from((0.0, 0.1, 0.5, UNKNOWN)),
    ),
)  # fmt: skip


@MANY
@given(bought, known_products)
def test_tier_index_and_lift_are_over_what_is_known(cells: Rows, known: Known) -> None:
    found, rows = read(cells, known), window_of(cells, known)
    assert found.price_tier == pytest.approx(price_tier(rows), nan_ok=True)
    assert found.price_index == pytest.approx(price_index(rows), nan_ok=True)
    assert found.deal_lift == pytest.approx(deal_lift(rows), nan_ok=True)


@MANY
@given(bought, known_products)
def test_the_largest_groups_come_first(cells: Rows, known: Known) -> None:
    found = read(cells, known)
    for level, groups in (("section", found.sections), ("item_type", found.types), ("brand", found.brands)):
        by_code: dict[int, Bought] = defaultdict(list)
        for product, row in window_of(cells, known):
            by_code[getattr(product, level)].append((product, row))
        by_code.pop(-1, None)
        lines = {code: sum(row[LINES] for _, row in rows) for code, rows in by_code.items()}
        largest = sorted(lines, key=lambda code: (-lines[code], code))[:GROUPS_MAX]
        assert_groups(groups, largest, lines, by_code)


def assert_groups(found: Groups, codes: list[int], lines: dict[int, int], by_code: dict[int, Bought]) -> None:
    assert found.codes.tolist() == codes
    assert found.lines.tolist() == [lines[code] for code in codes]
    assert found.tiers.tolist() == pytest.approx([price_tier(by_code[c]) for c in codes], nan_ok=True)
    assert found.indexes.tolist() == pytest.approx([price_index(by_code[c]) for c in codes], nan_ok=True)


def test_one_who_pays_half_and_seeks_deals() -> None:
    """Two units for 3.00 that usually cost 3.00 each; both of her lines on a deal, where a quarter of all are."""
    found = read({(1, AS_OF): (2, 2000, 300, 300, 0, 2, 0, 2)}, {1: Product(price=300.0, deal_share=0.25)})
    assert (found.price_index, found.deal_lift) == (0.5, 4.0)
    assert math.isnan(found.price_tier)


def test_a_line_without_a_price_says_nothing_of_what_she_pays() -> None:
    cells = {(1, AS_OF): (1, 1000, 200, 0, 0, 0, 0, 1), (1, AS_OF - 1): (2, 2000, 200, 0, 0, 0, 0, 1)}
    assert read(cells, {1: Product(price=200.0)}).price_index == 1.0


def test_nothing_is_said_where_no_deal_is_usual() -> None:
    assert math.isnan(
        read({(1, AS_OF): (1, 1000, 200, 0, 0, 0, 0, 1)}, {1: Product(deal_share=0.0)}).deal_lift
    )
