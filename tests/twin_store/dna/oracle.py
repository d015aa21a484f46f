"""The fold once more, slow and plain: from the set of events to dictionaries, without windows or tables.

It shares no code with the compiled fold but the names of the columns.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from twin_store.dna.layout import (
    ADD_TO_CART,
    CELL_DAYS,
    EARLY_DAYS,
    MEASURES,
    REMOVE_FROM_CART,
    RETURN_DAYS,
    SESSION_DAYS,
    VIEW,
)
from twin_store.messages.codec import SECONDS_PER_DAY

LINES, UNITS, NET, DISCOUNT, COUPON, DEAL, COUPON_LINES, PRICED = range(MEASURES)
SHARED = (UNITS, NET, DISCOUNT, COUPON)  # what a partial return takes back in proportion


@dataclass(frozen=True)
class Line:
    """A receipt line: its sku key and measures."""

    sku: int
    measures: tuple[int, ...]


@dataclass(frozen=True)
class Event:
    """A sale, return or void as the fold gets it."""

    txn: int
    kind: str
    second: int
    visit: int = 7
    original: int = 0
    lines: tuple[Line, ...] = ()

    @property
    def day(self) -> int:
        return self.second // SECONDS_PER_DAY


@dataclass(frozen=True)
class Click:
    """A click as the fold gets it."""

    event: int
    second: int
    session: int
    action: int
    sku: int = 0

    @property
    def day(self) -> int:
        return self.second // SECONDS_PER_DAY

    def row(self) -> tuple[int, ...]:
        return (self.event, self.second, self.session, self.action, self.sku, 1000)


@dataclass
class Expected:
    """What the tables must hold, zero entries left out."""

    cells: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)
    visits: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)
    totals: tuple[int, ...] = (0,) * MEASURES
    receipts: int = 0
    voided: int = 0
    returned_lines: int = 0
    events: int = 0
    hours: Counter[int] = field(default_factory=Counter)
    weekdays: Counter[int] = field(default_factory=Counter)
    looks: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)
    funnel: tuple[int, ...] = (0,) * 6
    sessions: int = 0

    def since(self, last_day: int) -> "Expected":
        """What is kept of the tables when the newest event is of `last_day`."""
        for table in (self.cells, self.visits, self.looks):
            for key in [key for key in table if key[1] <= last_day - CELL_DAYS]:
                del table[key]
        return self


def expected(events: Iterable[Event], clicks: Iterable[Click] = ()) -> Expected:
    """The state after these events, in whatever order and however often they came."""
    by_txn = {event.txn: event for event in events}
    cells: Counter[tuple[int, int, int]] = Counter()
    visits: Counter[tuple[int, int, int]] = Counter()
    totals: Counter[int] = Counter()
    out = Expected(events=len(by_txn))
    for sale in by_txn.values():
        if sale.kind != "sale":
            continue
        reversals = [
            e
            for e in by_txn.values()
            if e.kind != "sale" and e.original == sale.txn
            if -EARLY_DAYS <= e.day - sale.day <= RETURN_DAYS
        ]
        if any(e.kind == "void" for e in reversals):
            out.voided += 1
            continue
        monday = sale.day - (sale.day - 4) % 7
        out.receipts += 1
        out.hours[sale.second % SECONDS_PER_DAY // 3600] += 1
        out.weekdays[(sale.day - 4) % 7] += 1
        visits[sale.visit, monday, 0] += 1
        for sku, measures in _by_sku(sale).items():
            back = sum(_by_sku(e)[sku][UNITS] for e in reversals if sku in _by_sku(e))
            left, gone = _after_return(measures, back)
            out.returned_lines += measures[LINES] if gone else 0
            for m, value in enumerate(left):
                cells[sku, sale.day, m] += value
                totals[m] += value
            for column, m in ((1, LINES), (2, NET), (3, DISCOUNT)):
                visits[sale.visit, monday, column] += left[m]
    out.totals = tuple(totals[m] for m in range(MEASURES))
    out.cells = _rows(cells, MEASURES)
    out.visits = _rows(visits, 4)
    _add_clicks(out, {click.event: click for click in clicks}.values())
    return out


def _add_clicks(out: Expected, clicks: Iterable[Click]) -> None:
    looks: Counter[tuple[int, int, int]] = Counter()
    funnel: Counter[int] = Counter()
    last_of: dict[int, int] = {}
    for click in sorted(clicks, key=lambda click: click.second):
        out.events += 1
        funnel[click.action] += 1
        before = last_of.get(click.session)
        if before is None or click.second - before > SESSION_DAYS * SECONDS_PER_DAY:
            out.sessions += 1
        last_of[click.session] = click.second
        if click.sku and click.action == VIEW:
            looks[click.sku, click.day, 0] += 1
        elif click.sku and click.action in (ADD_TO_CART, REMOVE_FROM_CART):
            looks[click.sku, click.day, 1] += 1 if click.action == ADD_TO_CART else -1
    out.funnel = tuple(funnel[action] for action in range(6))
    out.looks = _rows(looks, 2)


def _by_sku(event: Event) -> dict[int, list[int]]:
    sums: dict[int, list[int]] = {}
    for line in event.lines:
        row = sums.setdefault(line.sku, [0] * MEASURES)
        for m, value in enumerate(line.measures):
            row[m] += value
    return sums


def _after_return(measures: list[int], back: int) -> tuple[list[int], bool]:
    """What is left of a line after `back` thousandths came back, and whether nothing is."""
    units = measures[UNITS]
    if back <= 0 or units <= 0:
        return list(measures), False
    if back >= units:
        return [0] * MEASURES, True
    left = list(measures)
    for m in SHARED:
        left[m] -= _half_up(measures[m] * back, units)
    return left, False


def _half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _rows(sums: Counter[tuple[int, int, int]], width: int) -> dict[tuple[int, int], tuple[int, ...]]:
    rows: dict[tuple[int, int], list[int]] = {}
    for (key, day, column), value in sums.items():
        rows.setdefault((key, day), [0] * width)[column] = value
    return {key: tuple(row) for key, row in rows.items() if any(row)}
