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
from twin_store.key_index import ABSENT, find

REGULARS_MAX = 12
REGULAR_DAYS_MIN = 3
GROUPS_MAX = 10
RECENT_WEEKS = 4
BEFORE_WEEKS = 8


class Products(NamedTuple):
    """The catalogue as reading needs it: an index of sku keys to rows, and dense codes by row.

    Attributes:
        keys, rows: the key index.
        section, brand: 0-based codes, -1 where unknown.
        tier: the product's price percentile in its section, 0 to 1, NaN where unknown.
        sections, brands: how many codes there are.
    """

    keys: np.ndarray
    rows: np.ndarray
    section: np.ndarray
    brand: np.ndarray
    tier: np.ndarray
    sections: int
    brands: int


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
    price_tier: float


@njit(cache=True, nogil=True)
def window_start(as_of_day: int) -> int:
    """The last day before the read window."""
    return as_of_day - 7 * READ_WEEKS


@njit(cache=True, nogil=True)
def window_totals(cells: np.ndarray, visits: np.ndarray, as_of_day: int, products: Products) -> WindowTotals:
    """Sums over the cells and visits of the window that ends with `as_of_day`."""
    since = window_start(as_of_day)
    lines = net = discount = deal_lines = coupon_lines = recent_net = before_net = 0
    receipts = receipt_lines = receipt_net = 0
    tier_sum = 0.0
    tier_lines = 0
    for i in range(cells.shape[0]):
        row = cells[i]
        if row[C_DAY] <= since:
            continue
        lines += row[C_LINES]
        net += row[C_NET]
        discount += row[C_DISCOUNT] + row[C_COUPON]
        deal_lines += row[C_DEAL_LINES]
        coupon_lines += row[C_COUPON_LINES]
        age = as_of_day - row[C_DAY]
        if age < 7 * RECENT_WEEKS:
            recent_net += row[C_NET]
        elif age < 7 * (RECENT_WEEKS + BEFORE_WEEKS):
            before_net += row[C_NET]
        at = find(products.keys, products.rows, row[C_SKU])
        if at != ABSENT and not np.isnan(products.tier[at]):
            tier_sum += products.tier[at] * row[C_LINES]
            tier_lines += row[C_LINES]
    for i in range(visits.shape[0]):
        if visits[i, V_DAY] > since:
            receipts += visits[i, V_RECEIPTS]
            receipt_lines += visits[i, V_LINES]
            receipt_net += visits[i, V_NET]
    tier = tier_sum / tier_lines if tier_lines > 0 else np.nan
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
        tier,
    )


@njit(cache=True, nogil=True)
def top_groups(
    cells: np.ndarray, as_of_day: int, products: Products, by_brand: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sections or brands with the most lines in the window, most first.

    Returns:
        Codes [k], lines [k] and mean price tiers [k] (NaN where unknown), k at most GROUPS_MAX.
    """
    codes = products.brand if by_brand else products.section
    count = products.brands if by_brand else products.sections
    lines = np.zeros(count, dtype=np.int64)
    tiers = np.zeros(count)
    tier_lines = np.zeros(count, dtype=np.int64)
    since = window_start(as_of_day)
    for i in range(cells.shape[0]):
        if cells[i, C_DAY] <= since or cells[i, C_LINES] <= 0:
            continue
        at = find(products.keys, products.rows, cells[i, C_SKU])
        if at == ABSENT or codes[at] < 0:
            continue
        code = codes[at]
        lines[code] += cells[i, C_LINES]
        if not np.isnan(products.tier[at]):
            tiers[code] += products.tier[at] * cells[i, C_LINES]
            tier_lines[code] += cells[i, C_LINES]
    top = _largest(lines, GROUPS_MAX)
    mean_tiers = np.full(top.shape[0], np.nan)
    for k in range(top.shape[0]):
        if tier_lines[top[k]] > 0:
            mean_tiers[k] = tiers[top[k]] / tier_lines[top[k]]
    return top, lines[top], mean_tiers


@njit(cache=True, nogil=True)
def _largest(values: np.ndarray, limit: int) -> np.ndarray:
    """Indices of the largest positive values, largest first, ties by index."""
    top = np.empty(limit, dtype=np.int64)
    used = 0
    for i in range(values.shape[0]):
        if values[i] <= 0:
            continue
        at = used
        while at > 0 and values[top[at - 1]] < values[i]:
            at -= 1
        if at >= limit:
            continue
        used = min(used + 1, limit)
        for k in range(used - 1, at, -1):
            top[k] = top[k - 1]
        top[at] = i
    return top[:used]


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
