"""Histories for the law tests: drawn by hypothesis, turned into the fold's columns, and twins read back."""

from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import strategies as st

from tests.twin_store.dna.oracle import Click, Event, Expected, Line
from twin_store.dna.layout import (
    C_MEASURE,
    C_VIEWS,
    CLICK_COLUMNS,
    EARLY_DAYS,
    EVENT_COLUMNS,
    H_EVENTS,
    H_FUNNEL,
    H_HOUR,
    H_MEASURE,
    H_RECEIPTS,
    H_RETURNED_LINES,
    H_SESSIONS,
    H_VOIDED,
    H_WEEKDAY,
    KINDS,
    LATE_DAYS,
    LINE_COLUMNS,
    MEASURES,
    RETURN_DAYS,
    SESSION_DAYS,
)
from twin_store.dna.twin import Twin, fold_clicks, fold_receipts
from twin_store.messages.codec import SECONDS_PER_DAY

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


def click_table(clicks: Sequence[Click]) -> np.ndarray:
    """Clicks as `fold_clicks` takes them."""
    return np.array([click.row() for click in clicks], dtype=np.int64).reshape(len(clicks), CLICK_COLUMNS)


def fold(twin: Twin, arriving: Iterable[Event | Click]) -> Twin:
    """Fold events and clicks in one batch: first all of the one kind, then all of the other."""
    arriving = list(arriving)
    events = [event for event in arriving if isinstance(event, Event)]
    clicks = [click for click in arriving if isinstance(click, Click)]
    if events:
        twin = fold_receipts(twin, *columns(events))[0]
    return fold_clicks(twin, click_table(clicks))[0] if clicks else twin


def fold_in_batches(arriving: Sequence[Event | Click], ends: Iterable[int]) -> Twin:
    """Fold what arrives batch by batch; `ends` are where batches end, in any order."""
    twin, start = Twin(), 0
    for end in [*sorted(ends), len(arriving)]:
        twin = fold(twin, arriving[start:end])
        start = end
    return twin


def found(twin: Twin) -> Expected:
    """A twin's tables in the oracle's form."""
    head, cells = twin.head.tolist(), twin.cells.tolist()
    bought = {(r[0], r[1]): tuple(r[C_MEASURE : C_MEASURE + MEASURES]) for r in cells}
    looked = {(r[0], r[1]): tuple(r[C_VIEWS:]) for r in cells}
    out = Expected(
        cells={key: measures for key, measures in bought.items() if any(measures)},
        visits={(r[0], r[1]): tuple(r[2:]) for r in twin.visits.tolist()},
        totals=tuple(head[H_MEASURE : H_MEASURE + MEASURES]),
        receipts=head[H_RECEIPTS],
        voided=head[H_VOIDED],
        returned_lines=head[H_RETURNED_LINES],
        events=head[H_EVENTS],
        looks={key: counts for key, counts in looked.items() if any(counts)},
        funnel=tuple(head[H_FUNNEL : H_FUNNEL + 6]),
        sessions=head[H_SESSIONS],
    )
    out.hours.update({h: n for h, n in enumerate(head[H_HOUR : H_HOUR + 24]) if n})
    out.weekdays.update({d: n for d, n in enumerate(head[H_WEEKDAY : H_WEEKDAY + 7]) if n})
    return out


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


@st.composite
def clicks(draw: st.DrawFn, days: int = LATE_DAYS - 1, sessions_max: int = 3) -> list[Click]:
    """Clicks of a few sessions that may go on for weeks, in no special order."""
    event = draw(st.integers(-(2**62), 2**62))
    out: list[Click] = []
    for session in range(draw(st.integers(1, sessions_max))):
        second = (START_DAY + draw(st.integers(0, days))) * SECONDS_PER_DAY + draw(st.integers(0, 86_399))
        for _ in range(draw(st.integers(1, 6))):
            event += 1
            sku = draw(st.sampled_from((0, *SKUS)))
            out.append(Click(event, second, session, draw(st.integers(0, 5)), sku))
            pauses = st.sampled_from((0, 60, SECONDS_PER_DAY, (SESSION_DAYS - 1) * SECONDS_PER_DAY))
            last = (START_DAY + days) * SECONDS_PER_DAY + 86_399
            second = min(second + draw(pauses) + draw(st.integers(0, 2 * SECONDS_PER_DAY)), last)
    return draw(st.permutations(out))


@st.composite
def long_history(draw: st.DrawFn, days: int) -> list[Event | Click]:
    """Sales over many days, with returns and voids around every edge of what they may reach, and clicks."""
    out: list[Event | Click] = []
    txn = draw(st.integers(-(2**62), 2**62))
    reach = st.sampled_from((-EARLY_DAYS - 1, -EARLY_DAYS, 0, 1, LATE_DAYS, 60, RETURN_DAYS, RETURN_DAYS + 1))
    for _ in range(draw(st.integers(1, 6))):
        txn += 1
        day, noon = START_DAY + 2 + draw(st.integers(0, days)), SECONDS_PER_DAY // 2
        lines = tuple(draw(st.lists(line(), min_size=1, max_size=3)))
        sale = Event(txn, "sale", day * SECONDS_PER_DAY + noon, draw(st.sampled_from(VISITS)), 0, lines)
        out.append(sale)
        for _ in range(draw(st.integers(0, 3))):
            txn += 1
            kind = draw(st.sampled_from(["return", "return", "return", "void"]))
            back = (draw(st.sampled_from(lines)),) if kind == "return" else ()
            second = (day + draw(reach)) * SECONDS_PER_DAY + draw(st.integers(0, 86_399))
            out.append(Event(txn, kind, second, sale.visit, sale.txn, back))
    return out + draw(st.one_of(st.just([]), clicks(days, sessions_max=4)))


@st.composite
def arrival(draw: st.DrawFn, happened: Sequence[Event | Click]) -> list[Event | Click]:
    """An order to arrive in that makes nothing late; what comes soon after it may come before it."""
    delays = st.one_of(st.just(0), st.integers(0, (LATE_DAYS - 1) * SECONDS_PER_DAY))
    order = sorted((each.second + draw(delays), n) for n, each in enumerate(happened))
    return [happened[n] for _, n in order]
