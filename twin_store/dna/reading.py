"""What a twin's tables read as at a moment, compiled. Numbers only; `profile` gives them names."""

from typing import NamedTuple

import numpy as np
from numba import njit

from twin_store.dna.layout import (
    C_COUPON,
    C_COUPON_LINES,
    C_DAY,
    C_DEAL_LINES,
    C_DISCOUNT,
    C_LINES,
    C_NET,
    C_SKU,
    C_UNITS,
    READ_WEEKS,
    V_DAY,
    V_LINES,
    V_NET,
    V_RECEIPTS,
)

REGULARS_MAX = 12
REGULAR_DAYS_MIN = 3
RECENT_WEEKS = 4
BEFORE_WEEKS = 8


class WindowTotals(NamedTuple):
    """Sums over the read window. Receipts, and what was on them, are those of its whole weeks."""

    receipts: int
    receipt_lines: int
    receipt_net: int
    lines: int
    net: int
    discount: int
    deal_lines: int
    coupon_lines: int
    recent_net: int
    before_net: int


@njit(cache=True, nogil=True)
def window_start(as_of_day: int) -> int:
    """The last day before the read window."""
    return as_of_day - 7 * READ_WEEKS


@njit(cache=True, nogil=True)
def window_totals(cells: np.ndarray, visits: np.ndarray, as_of_day: int) -> WindowTotals:
    """Sums over the cells and visits of the window that ends with `as_of_day`."""
    since = window_start(as_of_day)
    lines = net = discount = deal_lines = coupon_lines = recent_net = before_net = 0
    receipts = receipt_lines = receipt_net = 0
    for i in range(cells.shape[0]):
        if cells[i, C_DAY] <= since:
            continue
        lines += cells[i, C_LINES]
        net += cells[i, C_NET]
        discount += cells[i, C_DISCOUNT] + cells[i, C_COUPON]
        deal_lines += cells[i, C_DEAL_LINES]
        coupon_lines += cells[i, C_COUPON_LINES]
        age = as_of_day - cells[i, C_DAY]
        if age < 7 * RECENT_WEEKS:
            recent_net += cells[i, C_NET]
        elif age < 7 * (RECENT_WEEKS + BEFORE_WEEKS):
            before_net += cells[i, C_NET]
    for i in range(visits.shape[0]):
        if visits[i, V_DAY] > since:
            receipts += visits[i, V_RECEIPTS]
            receipt_lines += visits[i, V_LINES]
            receipt_net += visits[i, V_NET]
    return WindowTotals(
        receipts,
        receipt_lines,
        receipt_net,
        lines,
        net,
        discount,
        deal_lines,
        coupon_lines,
        recent_net,
        before_net,
    )


@njit(cache=True, nogil=True)
def regular_items(cells: np.ndarray, as_of_day: int) -> np.ndarray:
    """Items bought on at least REGULAR_DAYS_MIN days of the window, most days first.

    Returns:
        [k, 4]: sku key, purchase days, first day, last day; k at most REGULARS_MAX.
    """
    since = window_start(as_of_day)
    top = np.zeros((REGULARS_MAX, 4), dtype=np.int64)
    used = 0
    i = 0
    while i < cells.shape[0]:
        sku = cells[i, C_SKU]
        days = first = last = 0
        while i < cells.shape[0] and cells[i, C_SKU] == sku:
            if cells[i, C_DAY] > since and cells[i, C_LINES] > 0 and cells[i, C_UNITS] > 0:
                first = first if days else cells[i, C_DAY]
                last = cells[i, C_DAY]
                days += 1
            i += 1
        if days >= REGULAR_DAYS_MIN:
            used = _insert_regular(top, used, sku, days, first, last)
    return top[:used]


@njit(cache=True, nogil=True)
def _insert_regular(top: np.ndarray, used: int, sku: int, days: int, first: int, last: int) -> int:
    at = used
    while at > 0 and (top[at - 1, 1] < days or (top[at - 1, 1] == days and top[at - 1, 3] < last)):
        at -= 1
    if at >= REGULARS_MAX:
        return used
    used = min(used + 1, REGULARS_MAX)
    for k in range(used - 1, at, -1):
        top[k] = top[k - 1]
    top[at, 0] = sku
    top[at, 1] = days
    top[at, 2] = first
    top[at, 3] = last
    return used


@njit(cache=True, nogil=True)
def visits_by_key(visits: np.ndarray, as_of_day: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Receipts and net by visit key over the window: keys [k], receipts [k], net [k]."""
    since = window_start(as_of_day)
    keys = np.empty(visits.shape[0], dtype=np.int64)
    receipts = np.zeros(visits.shape[0], dtype=np.int64)
    net = np.zeros(visits.shape[0], dtype=np.int64)
    used = 0
    for i in range(visits.shape[0]):
        if visits[i, V_DAY] <= since:
            continue
        if used == 0 or keys[used - 1] != visits[i, 0]:
            keys[used] = visits[i, 0]
            used += 1
        receipts[used - 1] += visits[i, V_RECEIPTS]
        net[used - 1] += visits[i, V_NET]
    return keys[:used], receipts[:used], net[:used]
