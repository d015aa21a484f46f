"""Clicks into a twin's tables, compiled: the funnel counts and what was looked at and put in the cart."""

import numpy as np
from numba import njit

from twin_store.dna.layout import (
    ACCEPTED,
    ADD_TO_CART,
    C_CARTS,
    C_VIEWS,
    CELL_COLUMNS,
    CLICK_DAYS,
    DUPLICATE,
    H_FUNNEL,
    H_LAST_CLICK_SECOND,
    H_OWN_CLICK_SECOND,
    K_ACTION,
    K_EVENT,
    K_SECOND,
    K_SESSION,
    K_SKU,
    LATE,
    LATE_DAYS,
    REMOVE_FROM_CART,
    SESSION_DAYS,
    VIEW,
)
from twin_store.dna.rows import contains, order_by_two
from twin_store.messages.codec import SECONDS_PER_DAY


@njit(cache=True, nogil=True)
def accept_clicks(
    head: np.ndarray, clicks: np.ndarray, arriving: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which of one twin's clicks count, in their order of arrival: the accepted rows and a verdict each."""
    last_second = head[H_OWN_CLICK_SECOND]
    kept_since = head[H_LAST_CLICK_SECOND] // SECONDS_PER_DAY - CLICK_DAYS
    verdicts = np.empty(arriving.shape[0], dtype=np.int64)
    fresh = np.empty(arriving.shape, dtype=np.int64)
    used = 0
    for i in range(arriving.shape[0]):
        day = arriving[i, K_SECOND] // SECONDS_PER_DAY
        if contains(clicks, arriving[i, K_EVENT]) or _stands_in(fresh[:used], arriving[i, K_EVENT]):
            verdicts[i] = DUPLICATE
        elif day <= kept_since or (last_second > 0 and day <= last_second // SECONDS_PER_DAY - LATE_DAYS):
            verdicts[i] = LATE
        else:
            verdicts[i] = ACCEPTED
            last_second = max(last_second, arriving[i, K_SECOND])
            fresh[used] = arriving[i]
            used += 1
    return fresh[:used], verdicts


@njit(cache=True, nogil=True)
def _stands_in(rows: np.ndarray, event: int) -> bool:
    for i in range(rows.shape[0]):
        if rows[i, K_EVENT] == event:
            return True
    return False


@njit(cache=True, nogil=True)
def click_contributions(clicks: np.ndarray, sign: int, head: np.ndarray) -> np.ndarray:
    """What these clicks add to the cells; the funnel in `head` is changed in place, but for the sessions."""
    cells = np.zeros((clicks.shape[0], CELL_COLUMNS), dtype=np.int64)
    used = 0
    for i in range(clicks.shape[0]):
        row = clicks[i]
        action = row[K_ACTION]
        head[H_FUNNEL + action] += sign
        if row[K_SKU] == 0 or action not in (VIEW, ADD_TO_CART, REMOVE_FROM_CART):
            continue
        cells[used, 0] = row[K_SKU]
        cells[used, 1] = row[K_SECOND] // SECONDS_PER_DAY
        cells[used, C_VIEWS] = sign if action == VIEW else 0
        if action == ADD_TO_CART:
            cells[used, C_CARTS] = sign
        elif action == REMOVE_FROM_CART:
            cells[used, C_CARTS] = -sign
        used += 1
    return cells[:used]


@njit(cache=True, nogil=True)
def count_sessions(clicks: np.ndarray) -> int:
    """Sessions that begin within this table: clicks without one of the same session in the days before."""
    starts = np.empty((clicks.shape[0], 2), dtype=np.int64)
    for i in range(clicks.shape[0]):
        starts[i, 0] = clicks[i, K_SESSION]
        starts[i, 1] = clicks[i, K_SECOND]
    order = order_by_two(starts)
    count = 0
    for k in range(order.shape[0]):
        if (
            k == 0
            or starts[order[k], 0] != starts[order[k - 1], 0]
            or starts[order[k], 1] - starts[order[k - 1], 1] > SESSION_DAYS * SECONDS_PER_DAY
        ):
            count += 1
    return count
