"""Receipts into a twin's tables, compiled: which are accepted, and what the accepted ones add.

What a receipt adds depends on what has been taken back from it, so it is always computed from the set of
receipts, returns and voids known (`contributions`), and a change of that set adds the difference. That is why
a refund may come before its sale.
"""

import numpy as np
from numba import njit

from twin_store.dna.layout import (
    ACCEPTED,
    C_MEASURE,
    CELL_COLUMNS,
    DUPLICATE,
    EARLY_DAYS,
    EVENT_END,
    EVENT_KIND,
    EVENT_ORIGINAL,
    EVENT_SECOND,
    EVENT_START,
    EVENT_TXN,
    EVENT_VISIT,
    H_HOUR,
    H_LAST_SECOND,
    H_MEASURE,
    H_OWN_SECOND,
    H_RECEIPTS,
    H_RETURNED_LINES,
    H_VOIDED,
    H_WEEKDAY,
    LATE,
    LATE_DAYS,
    LINE_MEASURE,
    LINE_SKU,
    M_COUPON,
    M_DISCOUNT,
    M_LINES,
    M_NET,
    M_UNITS,
    MEASURES,
    R_KIND,
    R_MEASURE,
    R_ORIGINAL,
    R_SECOND,
    R_SKU,
    R_TXN,
    R_VISIT,
    RECEIPT_COLUMNS,
    RECEIPT_DAYS,
    RETURN,
    RETURN_DAYS,
    SALE,
    V_DAY,
    V_DISCOUNT,
    V_KEY,
    V_LINES,
    V_NET,
    V_RECEIPTS,
    VISIT_COLUMNS,
    VOID,
)
from twin_store.dna.rows import contains
from twin_store.messages.codec import SECONDS_PER_DAY

FIRST_MONDAY = 4  # 1970-01-05
EXACT_BELOW = 2**61


@njit(cache=True, nogil=True)
def accept(
    head: np.ndarray, receipts: np.ndarray, events: np.ndarray, lines: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which of one twin's events count, in their order of arrival.

    Args:
        head: the twin's totals.
        receipts: the twin's open receipts.
        events: [n, EVENT_COLUMNS]; START and END index `lines`.
        lines: [m, LINE_COLUMNS].

    Returns:
        Rows of the accepted events [k, RECEIPT_COLUMNS], one a sku, and a verdict an event (ACCEPTED,
        DUPLICATE, LATE).
    """
    verdicts = np.empty(events.shape[0], dtype=np.int64)
    bound = 0
    for i in range(events.shape[0]):
        bound += max(events[i, EVENT_END] - events[i, EVENT_START], 1)
    fresh = np.zeros((bound, RECEIPT_COLUMNS), dtype=np.int64)
    used = 0
    last_second = head[H_OWN_SECOND]
    kept_since = head[H_LAST_SECOND] // SECONDS_PER_DAY - RECEIPT_DAYS
    for i in range(events.shape[0]):
        day = events[i, EVENT_SECOND] // SECONDS_PER_DAY
        if contains(receipts, events[i, EVENT_TXN]) or _seen(events, verdicts, i):
            verdicts[i] = DUPLICATE
        elif day <= kept_since or (last_second > 0 and day <= last_second // SECONDS_PER_DAY - LATE_DAYS):
            verdicts[i] = LATE
        else:
            verdicts[i] = ACCEPTED
            last_second = max(last_second, events[i, EVENT_SECOND])
            used = _open_receipt(fresh, used, events[i], lines)
    return fresh[:used], verdicts


@njit(cache=True, nogil=True)
def _seen(events: np.ndarray, verdicts: np.ndarray, i: int) -> bool:
    for j in range(i):
        if events[j, EVENT_TXN] == events[i, EVENT_TXN] and verdicts[j] == ACCEPTED:
            return True
    return False


@njit(cache=True, nogil=True)
def _open_receipt(fresh: np.ndarray, used: int, event: np.ndarray, lines: np.ndarray) -> int:
    start = event[EVENT_START]
    end = event[EVENT_END]
    if event[EVENT_KIND] == VOID or start == end:
        _stamp(fresh[used], event)
        return used + 1
    order = np.argsort(lines[start:end, LINE_SKU], kind="mergesort")
    for position in order:
        line = lines[start + position]
        at = used - 1
        if position == order[0] or fresh[at, R_SKU] != line[LINE_SKU]:
            at = used
            used += 1
            _stamp(fresh[at], event)
            fresh[at, R_SKU] = line[LINE_SKU]
        for m in range(MEASURES):
            fresh[at, R_MEASURE + m] += line[LINE_MEASURE + m]
    return used


@njit(cache=True, nogil=True)
def _stamp(row: np.ndarray, event: np.ndarray) -> None:
    row[R_TXN] = event[EVENT_TXN]
    row[R_KIND] = event[EVENT_KIND]
    row[R_SECOND] = event[EVENT_SECOND]
    row[R_VISIT] = event[EVENT_VISIT]
    row[R_ORIGINAL] = event[EVENT_ORIGINAL]


@njit(cache=True, nogil=True)
def has_reversal(receipts: np.ndarray) -> bool:
    """Whether any row is a return or a void."""
    for i in range(receipts.shape[0]):
        if receipts[i, R_KIND] != SALE:
            return True
    return False


@njit(cache=True, nogil=True)
def contributions(
    receipts: np.ndarray, until_second: int, sign: int, head: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the sales among these receipts add, returns and voids up to `until_second` taken back.

    Args:
        receipts: rows whose sales are counted; rows of one receipt stand together.
        until_second: rows after this time are as if they had not happened.
        sign: 1 to put in, -1 to take out.
        head: the twin's totals, changed in place.

    Returns:
        Rows to add to the cells and to the visits, unsorted, repeats included; and the visit key of each
        cell row.
    """
    cells = np.zeros((receipts.shape[0], CELL_COLUMNS), dtype=np.int64)
    visits = np.zeros((receipts.shape[0], VISIT_COLUMNS), dtype=np.int64)
    where = np.empty(receipts.shape[0], dtype=np.int64)
    reversals = np.nonzero((receipts[:, R_KIND] != SALE) & (receipts[:, R_SECOND] <= until_second))[0]
    n_cells = 0
    n_visits = 0
    standing = np.zeros(MEASURES, dtype=np.int64)
    for i in range(receipts.shape[0]):
        row = receipts[i]
        if row[R_KIND] != SALE or row[R_SECOND] > until_second:
            continue
        first_of_receipt = i == 0 or receipts[i - 1, R_TXN] != row[R_TXN]
        voided, returned = _reversed_units(receipts, reversals, row)
        if voided:
            if first_of_receipt:
                head[H_VOIDED] += sign
            continue
        day = row[R_SECOND] // SECONDS_PER_DAY
        if first_of_receipt:
            _count_trip(head, visits[n_visits], row, day, sign)
            n_visits += 1
        if returned > 0 and returned >= row[R_MEASURE + M_UNITS]:
            head[H_RETURNED_LINES] += sign * row[R_MEASURE + M_LINES]
        _standing_measures(row, returned, standing)
        cells[n_cells, 0] = row[R_SKU]
        cells[n_cells, 1] = day
        where[n_cells] = row[R_VISIT]
        for m in range(MEASURES):
            cells[n_cells, C_MEASURE + m] = sign * standing[m]
            head[H_MEASURE + m] += sign * standing[m]
        visit = visits[n_visits - 1]
        visit[V_LINES] += sign * standing[M_LINES]
        visit[V_NET] += sign * standing[M_NET]
        visit[V_DISCOUNT] += sign * standing[M_DISCOUNT]
        n_cells += 1
    return cells[:n_cells], visits[:n_visits], where[:n_cells]


@njit(cache=True, nogil=True)
def _reversed_units(receipts: np.ndarray, reversals: np.ndarray, sale: np.ndarray) -> tuple[bool, int]:
    """Whether the sale's receipt was voided, and how many units of the sale's sku were returned."""
    returned = 0
    for r in reversals:
        reversal = receipts[r]
        if reversal[R_ORIGINAL] != sale[R_TXN]:
            continue
        days_apart = reversal[R_SECOND] // SECONDS_PER_DAY - sale[R_SECOND] // SECONDS_PER_DAY
        if days_apart > RETURN_DAYS or days_apart < -EARLY_DAYS:
            continue
        if reversal[R_KIND] == VOID:
            return True, 0
        if reversal[R_KIND] == RETURN and reversal[R_SKU] == sale[R_SKU]:
            returned += reversal[R_MEASURE + M_UNITS]
    return False, returned


@njit(cache=True, nogil=True)
def _count_trip(head: np.ndarray, visit: np.ndarray, row: np.ndarray, day: int, sign: int) -> None:
    since_monday = (day - FIRST_MONDAY) % 7
    head[H_RECEIPTS] += sign
    head[H_HOUR + (row[R_SECOND] % SECONDS_PER_DAY) // 3600] += sign
    head[H_WEEKDAY + since_monday] += sign
    visit[V_KEY] = row[R_VISIT]
    visit[V_DAY] = day - since_monday
    visit[V_RECEIPTS] = sign


@njit(cache=True, nogil=True)
def _standing_measures(row: np.ndarray, returned: int, out: np.ndarray) -> None:
    """The measures of a sale row after `returned` thousandths came back: all, none, or a rounded share."""
    units = row[R_MEASURE + M_UNITS]
    for m in range(MEASURES):
        value = row[R_MEASURE + m]
        if returned <= 0 or units <= 0:
            out[m] = value
        elif returned >= units:
            out[m] = 0
        elif m in (M_UNITS, M_NET, M_DISCOUNT, M_COUPON):
            out[m] = value - _share(value, returned, units)
        else:
            out[m] = value


@njit(cache=True, nogil=True)
def _share(value: int, part: int, whole: int) -> int:
    """`value * part / whole`, half up; where that does not fit 64 bits, as floats have it."""
    if abs(value) < EXACT_BELOW // part:
        return (2 * value * part + whole) // (2 * whole)
    return int(np.rint(value * (part / whole)))
