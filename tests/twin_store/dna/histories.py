"""Histories for the law tests: drawn by hypothesis, and turned into the fold's columns."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from tests.twin_store.dna.oracle import Event, Line
from twin_store.dna.layout import EVENT_COLUMNS, KINDS, LATE_DAYS, LINE_COLUMNS
from twin_store.dna.rows import SECONDS_PER_DAY
from twin_store.dna.twin import Twin, fold_receipts

START_DAY = 17_000
SKUS = (-(2**63), -5, 3, 11, 2**63 - 1)
VISITS = (-9, 7)


def columns(events: Sequence[Event]) -> tuple[np.ndarray, np.ndarray]:
    """Events and lines as `fold_receipts` takes them."""
    rows = np.zeros((len(events), EVENT_COLUMNS), dtype=np.int64)
    lines: list[tuple[int, ...]] = []
    for i, e in enumerate(events):
        start = len(lines)
        lines += [(line.sku, *line.measures) for line in e.lines]
        rows[i] = (0, e.txn, KINDS[e.kind], e.second, e.visit, e.original, start, len(lines))
    return rows, np.array(lines, dtype=np.int64).reshape(len(lines), LINE_COLUMNS)


def fold(twin: Twin, events: Sequence[Event]) -> Twin:
    """Fold events in one batch."""
    return fold_receipts(twin, *columns(events))[0] if events else twin


@st.composite
def line(draw: st.DrawFn) -> Line:
    """A receipt line; quantity may be zero and the price unknown."""
    units = draw(st.sampled_from([0, 500, 1000, 2000, 3000]))
    priced = draw(st.booleans())
    net = draw(st.integers(0, 999)) if priced else 0
    discount = draw(st.sampled_from([0, 7, 50])) if priced else 0
    coupon = draw(st.sampled_from([0, 0, 100])) if priced else 0
    return Line(
        draw(st.sampled_from(SKUS)),
        (1, units, net, discount, coupon, int(discount > 0), int(coupon > 0), int(priced)),
    )


@st.composite
def history(draw: st.DrawFn, days: int = LATE_DAYS - 1, sales_max: int = 6) -> list[Event]:
    """Sales within `days`, with returns and voids of some of them, in no special order."""
    events: list[Event] = []
    txn = draw(st.integers(-(2**62), 2**62))
    for _ in range(draw(st.integers(1, sales_max))):
        txn += 1
        second = (START_DAY + draw(st.integers(0, days))) * SECONDS_PER_DAY + draw(st.integers(0, 86_399))
        lines = tuple(draw(st.lists(line(), min_size=1, max_size=4)))
        sale = Event(txn, "sale", second, draw(st.sampled_from(VISITS)), 0, lines)
        events.append(sale)
        last = (START_DAY + days) * SECONDS_PER_DAY + 86_399
        for _ in range(draw(st.integers(0, 2))):
            txn += 1
            kind = draw(st.sampled_from(["return", "return", "void"]))
            back = (
                tuple(draw(st.lists(st.sampled_from(lines), min_size=1, max_size=3)))
                if kind == "return"
                else ()
            )
            events.append(Event(txn, kind, draw(st.integers(sale.second, last)), sale.visit, sale.txn, back))
    return draw(st.permutations(events))
