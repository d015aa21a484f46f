"""What is read from a twin's tables, against plain dictionaries."""

import random
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin_store.dna.cells import (
    AS_OF,
    COUPON,
    COUPON_LINES,
    DEAL,
    DISCOUNT,
    LINES,
    MANY,
    NET,
    UNITS,
    WINDOW,
    Rows,
    bought,
    days,
    table,
)
from twin_store.dna.layout import CELL_COLUMNS, VISIT_COLUMNS
from twin_store.dna.reading import (
    REGULAR_DAYS_MIN,
    REGULARS_MAX,
    regular_items,
    visits_by_key,
    window_totals,
)


@MANY
@given(bought)
def test_sums_are_those_of_the_window(cells: Rows) -> None:
    inside = {key: row for key, row in cells.items() if key[1] > AS_OF - WINDOW}

    def total(*columns: int, newest: int = WINDOW, oldest: int = 0) -> int:
        return sum(
            row[c] for (_, day), row in inside.items() for c in columns if oldest <= AS_OF - day < newest
        )

    found = window_totals(table(cells, CELL_COLUMNS), table({}, VISIT_COLUMNS), AS_OF)
    assert (found.lines, found.net) == (total(LINES), total(NET))
    assert (found.discount, found.deal_lines) == (total(DISCOUNT, COUPON), total(DEAL))
    assert found.coupon_lines == total(COUPON_LINES)
    assert found.recent_net == total(NET, newest=28)
    assert found.before_net == total(NET, newest=84, oldest=28)


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
    found = window_totals(table({}, CELL_COLUMNS), rows, AS_OF)
    assert found.receipts == sum(row[0] for row in inside.values())
    assert (found.receipt_lines, found.receipt_net) == tuple(
        sum(r[c] for r in inside.values()) for c in (1, 2)
    )


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
