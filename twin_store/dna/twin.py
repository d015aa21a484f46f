"""One twin's state and its laws: fold, merge, rewind, hash. No clock, no I/O, no randomness.

`fold = accept + absorb`. `accept` decides which arriving events count and returns them as rows; `absorb` adds
accepted rows. What is written to the changelog is the accepted rows, so a restore absorbs them again and
arrives at the same state.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import xxhash
from numba import njit

from twin_store.dna.clicks import accept_clicks, click_contributions, count_sessions
from twin_store.dna.layout import (
    C_DAY,
    C_LINES,
    CELL_COLUMNS,
    CELL_DAYS,
    CLICK_COLUMNS,
    CLICK_DAYS,
    H_ADDITIVE,
    H_EVENTS,
    H_FIRST_SECOND,
    H_LAST_CLICK_SECOND,
    H_LAST_SECOND,
    H_OWN_CLICK_SECOND,
    H_OWN_SECOND,
    H_SESSIONS,
    HEAD_COLUMNS,
    K_SECOND,
    R_SECOND,
    R_TXN,
    RECEIPT_COLUMNS,
    RECEIPT_DAYS,
    VISIT_COLUMNS,
)
from twin_store.dna.receipts import accept, contributions, has_reversal
from twin_store.dna.rows import add_up, empty, group_end, union
from twin_store.messages.codec import SECONDS_PER_DAY

FOREVER = 2**62


def _no_head() -> np.ndarray:
    return np.zeros(HEAD_COLUMNS, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Twin:
    """The state of one customer. Tables are laid out by `layout`; `about` is the newest Customer message's body."""

    head: np.ndarray = field(default_factory=_no_head)
    cells: np.ndarray = field(default_factory=lambda: empty(CELL_COLUMNS))
    visits: np.ndarray = field(default_factory=lambda: empty(VISIT_COLUMNS))
    receipts: np.ndarray = field(default_factory=lambda: empty(RECEIPT_COLUMNS))
    clicks: np.ndarray = field(default_factory=lambda: empty(CLICK_COLUMNS))
    about: bytes = b""
    about_second: int = 0

    @property
    def last_second(self) -> int:
        """Epoch seconds of the newest event of any kind, 0 when there is none."""
        at = self.head.item  # a plain int, several times as fast as an element
        return max(at(H_LAST_SECOND), at(H_LAST_CLICK_SECOND))

    @property
    def events_folded(self) -> int:
        """Receipts, returns, voids and clicks that counted."""
        return int(self.head[H_EVENTS])

    def content_hash(self) -> str:
        """128 bits of XXH3 over the whole state, as hex: an integrity check, not a signature."""
        hasher = xxhash.xxh3_128(self.head.data)
        for table in (self.cells, self.visits, self.receipts, self.clicks):
            hasher.update(len(table).to_bytes(4, "little"))
            hasher.update(table.data)
        hasher.update(self.about)
        return hasher.hexdigest()

    def nbytes(self) -> int:
        """Bytes of the tables in memory."""
        tables = (self.head, self.cells, self.visits, self.receipts, self.clicks)
        return sum(table.nbytes for table in tables) + len(self.about)


def fold_receipts(twin: Twin, events: np.ndarray, lines: np.ndarray) -> tuple[Twin, np.ndarray, np.ndarray]:
    """Fold arriving receipts, returns and voids, in order of arrival.

    Returns:
        The new state, the accepted rows [k, RECEIPT_COLUMNS], and a verdict an event.
    """
    fresh, verdicts = accept(twin.head, twin.receipts, events, lines)
    return (absorb_receipts(twin, fresh) if len(fresh) else twin), fresh, verdicts


def absorb_receipts(twin: Twin, fresh: np.ndarray) -> Twin:
    """Add accepted rows; rows of one receipt stand together."""
    return absorb_receipts_traced(twin, fresh)[0]


def absorb_receipts_traced(twin: Twin, fresh: np.ndarray) -> tuple[Twin, np.ndarray, np.ndarray]:
    """As `absorb_receipts`, and what it moved: cell rows, takings-back as negative ones, and where each was."""
    head, cells, visits, receipts, moved, where = _absorb(
        twin.head, twin.cells, twin.visits, twin.receipts, fresh
    )
    return Twin(head, cells, visits, receipts, twin.clicks, twin.about, twin.about_second), moved, where


@njit(cache=True, nogil=True)
def _absorb(
    head: np.ndarray, cells: np.ndarray, visits: np.ndarray, receipts: np.ndarray, fresh: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    head = head.copy()
    for i in range(fresh.shape[0]):
        if i == 0 or fresh[i, R_TXN] != fresh[i - 1, R_TXN]:
            head[H_EVENTS] += 1
        _see(head, fresh[i, R_SECOND], H_LAST_SECOND, H_OWN_SECOND)
    if has_reversal(receipts) or has_reversal(fresh):
        out_cells, out_visits, out_where = contributions(receipts, FOREVER, -1, head)
        everything = union(receipts, fresh, R_SECOND, -FOREVER)
        in_cells, in_visits, in_where = contributions(everything, FOREVER, 1, head)
        new_cells = np.concatenate((out_cells, in_cells))
        new_visits = np.concatenate((out_visits, in_visits))
        where = np.concatenate((out_where, in_where))
    else:
        new_cells, new_visits, where = contributions(fresh, FOREVER, 1, head)
    last_day = max(head[H_LAST_SECOND], head[H_LAST_CLICK_SECOND]) // SECONDS_PER_DAY
    return (
        head,
        add_up(cells, new_cells, last_day - CELL_DAYS),
        add_up(visits, new_visits, last_day - CELL_DAYS),
        union(receipts, fresh, R_SECOND, head[H_LAST_SECOND] // SECONDS_PER_DAY - RECEIPT_DAYS),
        new_cells,
        where,
    )


@njit(cache=True, nogil=True)
def _see(head: np.ndarray, second: int, last_column: int, own_column: int) -> None:
    if head[H_FIRST_SECOND] == 0 or second < head[H_FIRST_SECOND]:
        head[H_FIRST_SECOND] = second
    head[last_column] = max(head[last_column], second)
    head[own_column] = max(head[own_column], second)


def fold_clicks(twin: Twin, arriving: np.ndarray) -> tuple[Twin, np.ndarray, np.ndarray]:
    """Fold arriving clicks [n, CLICK_COLUMNS] in order of arrival; returns as `fold_receipts`."""
    fresh, verdicts = accept_clicks(twin.head, twin.clicks, arriving)
    return (absorb_clicks(twin, fresh) if len(fresh) else twin), fresh, verdicts


def absorb_clicks(twin: Twin, fresh: np.ndarray) -> Twin:
    """Add accepted clicks."""
    head, cells, visits, clicks = _absorb_clicks(twin.head, twin.cells, twin.visits, twin.clicks, fresh)
    return replace(twin, head=head, cells=cells, visits=visits, clicks=clicks)


@njit(cache=True, nogil=True)
def _absorb_clicks(
    head: np.ndarray, cells: np.ndarray, visits: np.ndarray, clicks: np.ndarray, fresh: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    head = head.copy()
    for i in range(fresh.shape[0]):
        head[H_EVENTS] += 1
        _see(head, fresh[i, K_SECOND], H_LAST_CLICK_SECOND, H_OWN_CLICK_SECOND)
    new_cells = click_contributions(fresh, 1, head)
    everything = union(clicks, fresh, K_SECOND, -FOREVER)
    head[H_SESSIONS] += count_sessions(everything) - count_sessions(clicks)
    last_day = max(head[H_LAST_SECOND], head[H_LAST_CLICK_SECOND]) // SECONDS_PER_DAY
    return (
        head,
        add_up(cells, new_cells, last_day - CELL_DAYS),
        add_up(visits, visits[:0], last_day - CELL_DAYS),
        union(everything, clicks[:0], K_SECOND, head[H_LAST_CLICK_SECOND] // SECONDS_PER_DAY - CLICK_DAYS),
    )


def fold_about(twin: Twin, body: bytes, second: int) -> Twin:
    """Take a Customer message's body when it is newer; of two from the same second the greater bytes win."""
    if (second, body) <= (twin.about_second, twin.about):
        return twin
    return replace(twin, about=body, about_second=second)


def merge(one: Twin, other: Twin) -> Twin:
    """Two partial twins as one (law 8): commutative, associative, and a receipt in both counts once."""
    head, cells, visits, receipts, clicks = _merge(
        one.head, one.cells, one.visits, one.receipts, one.clicks,
        other.head, other.cells, other.visits, other.receipts, other.clicks,
    )  # fmt: skip
    about_second, about = max((one.about_second, one.about), (other.about_second, other.about))
    return Twin(head, cells, visits, receipts, clicks, about, about_second)


@njit(cache=True, nogil=True)
def _merge(
    head_a: np.ndarray, cells_a: np.ndarray, visits_a: np.ndarray, receipts_a: np.ndarray, clicks_a: np.ndarray,
    head_b: np.ndarray, cells_b: np.ndarray, visits_b: np.ndarray, receipts_b: np.ndarray, clicks_b: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    head = head_a.copy()
    head[:H_ADDITIVE] += head_b[:H_ADDITIVE]
    if head[H_FIRST_SECOND] == 0 or 0 < head_b[H_FIRST_SECOND] < head[H_FIRST_SECOND]:
        head[H_FIRST_SECOND] = head_b[H_FIRST_SECOND]
    for column in (H_LAST_SECOND, H_LAST_CLICK_SECOND, H_OWN_SECOND, H_OWN_CLICK_SECOND):
        head[column] = max(head[column], head_b[column])
    receipts = union(receipts_a, receipts_b, R_SECOND, -FOREVER)
    clicks = union(clicks_a, clicks_b, K_SECOND, -FOREVER)
    head[H_EVENTS] -= _groups(receipts_a) + _groups(receipts_b) - _groups(receipts)
    head[H_EVENTS] -= clicks_a.shape[0] + clicks_b.shape[0] - clicks.shape[0]
    out_a, visits_out_a, _ = contributions(receipts_a, FOREVER, -1, head)
    out_b, visits_out_b, _ = contributions(receipts_b, FOREVER, -1, head)
    into, visits_into, _ = contributions(receipts, FOREVER, 1, head)
    clicks_out_a = click_contributions(clicks_a, -1, head)
    clicks_out_b = click_contributions(clicks_b, -1, head)
    clicks_into = click_contributions(clicks, 1, head)
    head[H_SESSIONS] += count_sessions(clicks) - count_sessions(clicks_a) - count_sessions(clicks_b)
    delta = np.concatenate((cells_b, out_a, out_b, into, clicks_out_a, clicks_out_b, clicks_into))
    visits_delta = np.concatenate((visits_b, visits_out_a, visits_out_b, visits_into))
    last_day = max(head[H_LAST_SECOND], head[H_LAST_CLICK_SECOND]) // SECONDS_PER_DAY
    return (
        head,
        add_up(cells_a, delta, last_day - CELL_DAYS),
        add_up(visits_a, visits_delta, last_day - CELL_DAYS),
        union(receipts, receipts[:0], R_SECOND, head[H_LAST_SECOND] // SECONDS_PER_DAY - RECEIPT_DAYS),
        union(clicks, clicks[:0], K_SECOND, head[H_LAST_CLICK_SECOND] // SECONDS_PER_DAY - CLICK_DAYS),
    )


@njit(cache=True, nogil=True)
def _groups(rows: np.ndarray) -> int:
    """Distinct values of column 0, where equal ones stand together."""
    count = 0
    at = 0
    while at < rows.shape[0]:
        at = group_end(rows, at)
        count += 1
    return count


def rewind(twin: Twin, as_of_second: int) -> Twin:
    """The twin as it was at `as_of_second`: what came after is taken back.

    Totals, cells and visits are exact up to `LATE_DAYS` back. Further back, up to `RECEIPT_DAYS`, a return of a
    sale that is no longer open stays taken back. Receipts and clicks that were open then and are not now stay
    away. Of the newest receipt at least the day is exact; a Customer message that came after leaves none.
    """
    if max(twin.last_second, twin.about_second) <= as_of_second:
        return twin
    head, cells, visits, receipts, clicks = _rewind(
        twin.head, twin.cells, twin.visits, twin.receipts, twin.clicks, as_of_second
    )
    about = (twin.about, twin.about_second) if twin.about_second <= as_of_second else (b"", 0)
    return Twin(head, cells, visits, receipts, clicks, *about)


@njit(cache=True, nogil=True)
def _rewind(
    head: np.ndarray,
    cells: np.ndarray,
    visits: np.ndarray,
    receipts: np.ndarray,
    clicks: np.ndarray,
    as_of: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    head = head.copy()
    before_receipts = receipts[receipts[:, R_SECOND] <= as_of]
    before_clicks = clicks[clicks[:, K_SECOND] <= as_of]
    head[H_EVENTS] -= _groups(receipts) - _groups(before_receipts)
    head[H_EVENTS] -= clicks.shape[0] - before_clicks.shape[0]
    out_cells, out_visits, _ = contributions(receipts, FOREVER, -1, head)
    in_cells, in_visits, _ = contributions(receipts, as_of, 1, head)
    out_clicks = click_contributions(clicks[clicks[:, K_SECOND] > as_of], -1, head)
    head[H_SESSIONS] -= count_sessions(clicks) - count_sessions(before_clicks)
    cells = add_up(cells, np.concatenate((out_cells, in_cells, out_clicks)), -FOREVER)
    visits = add_up(visits, np.concatenate((out_visits, in_visits)), -FOREVER)
    head[H_LAST_SECOND] = _newest(before_receipts, R_SECOND, cells, as_of) if head[H_LAST_SECOND] > 0 else 0
    if head[H_LAST_CLICK_SECOND] > as_of:
        head[H_LAST_CLICK_SECOND] = before_clicks[:, K_SECOND].max() if before_clicks.shape[0] else 0
    if head[H_FIRST_SECOND] > as_of:
        head[H_FIRST_SECOND] = 0
    if head[H_LAST_SECOND] == 0 and head[H_LAST_CLICK_SECOND] == 0:
        # All that is left was taken back long ago; its first event is the one whose time is still known.
        head[H_LAST_SECOND] = head[H_FIRST_SECOND]
    head[H_OWN_SECOND] = min(head[H_OWN_SECOND], head[H_LAST_SECOND])
    head[H_OWN_CLICK_SECOND] = min(head[H_OWN_CLICK_SECOND], head[H_LAST_CLICK_SECOND])
    return head, cells, visits, before_receipts, before_clicks


@njit(cache=True, nogil=True)
def _newest(rows: np.ndarray, second_column: int, cells: np.ndarray, as_of: int) -> int:
    if rows.shape[0]:
        return rows[:, second_column].max()
    bought = cells[cells[:, C_LINES] > 0]
    if bought.shape[0] == 0:
        return 0
    return min(bought[:, C_DAY].max() * SECONDS_PER_DAY + SECONDS_PER_DAY - 1, as_of)


__all__ = [
    "Twin",
    "absorb_clicks",
    "absorb_receipts",
    "fold_about",
    "fold_clicks",
    "fold_receipts",
    "merge",
    "rewind",
]
