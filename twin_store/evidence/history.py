"""One pass over a twin's tables that everything else reads from, compiled.

A shopping day is a day with a purchase. The window is `READ_WEEKS` up to and including the day of `as_of`; the
tables must hold nothing later (`twin_store.dna.rewind`).
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from twin_store.catalogue import CatalogueTables
from twin_store.dna.layout import (
    C_CARTS,
    C_COUPON,
    C_COUPON_LINES,
    C_DAY,
    C_DEAL_LINES,
    C_DISCOUNT,
    C_LINES,
    C_NET,
    C_SKU,
    C_UNITS,
    C_VIEWS,
    CLICK_DAYS,
    H_FIRST_SECOND,
    READ_WEEKS,
    V_DAY,
    V_LINES,
    V_NET,
    V_RECEIPTS,
)
from twin_store.key_index import ABSENT, find
from twin_store.messages.codec import SECONDS_PER_DAY

WINDOW_DAYS = 7 * READ_WEEKS
MONTH_DAYS = 28
QUARTER_DAYS = 91
THOUSANDTHS = 1000  # quantities are kept in thousandths

# Totals of one item in the window, by column of `History.runs`.
RUN_LINES, RUN_DEALS, RUN_DAYS, RUN_WEIGHT, RUN_UNITS, RUN_NET, RUN_VIEWS, RUN_CARTS, RUN_LAST = range(9)
RUN_COLUMNS = 9

# The household's numbers, in the order of `names._HOUSEHOLD`.
(
    TRIPS, TRIPS_MONTH, TRIP_SINCE, TRIP_INTERVAL, TRIP_DUE, BASKET_LINES, BASKET_SPEND, TENURE, VARIETY,
    DEAL_SHARE, COUPON_SHARE, PRIVATE_SHARE, DISCOUNT_SHARE, DAY_LINES, DAY_LINES_LAST,
) = range(15)  # fmt: skip
HOUSEHOLD_COLUMNS = 15


class History(NamedTuple):
    """What was bought in the window, item by item, and the household's totals.

    Attributes:
        first_day: the day before the window's first.
        days: shopping days, ascending, as offsets from `first_day`.
        place: by offset, the position in `days`, or -1.
        lines: log of the lines of each shopping day.
        month, quarter: weight of each shopping day, halving every 4 and 13 weeks.
        run_starts, run_ends: rows of the cells that belong to one item, in the window.
        run_skus, run_sections, run_types, run_brands, run_private: that item in the catalogue.
        runs: [n, RUN_COLUMNS] totals of the item.
        household: [HOUSEHOLD_COLUMNS].
    """

    first_day: int
    days: np.ndarray
    place: np.ndarray
    lines: np.ndarray
    month: np.ndarray
    quarter: np.ndarray
    run_starts: np.ndarray
    run_ends: np.ndarray
    run_skus: np.ndarray
    run_sections: np.ndarray
    run_types: np.ndarray
    run_brands: np.ndarray
    run_private: np.ndarray
    runs: np.ndarray
    household: np.ndarray


@njit(cache=True, nogil=True)
def read_history(
    cells: np.ndarray, visits: np.ndarray, head: np.ndarray, catalogue: CatalogueTables, as_of: int
) -> History:
    """The window up to `as_of` (epoch seconds)."""
    first_day = as_of // SECONDS_PER_DAY - WINDOW_DAYS
    days, place = _shopping_days(cells, first_day)
    lines = _lines_of_days(cells, first_day, days, place)
    month = np.empty(days.shape[0])
    quarter = np.empty(days.shape[0])
    for i in range(days.shape[0]):
        month[i] = 0.5 ** ((WINDOW_DAYS - days[i]) / MONTH_DAYS)
        quarter[i] = 0.5 ** ((WINDOW_DAYS - days[i]) / QUARTER_DAYS)
    starts, ends = _item_runs(cells, first_day)
    count = starts.shape[0]
    skus = np.empty(count, dtype=np.int64)
    sections = np.zeros(count, dtype=np.int64)
    types = np.zeros(count, dtype=np.int64)
    brands = np.zeros(count, dtype=np.int64)
    private = np.full(count, -1, dtype=np.int64)
    runs = np.zeros((count, RUN_COLUMNS))
    for r in range(count):
        skus[r] = cells[starts[r], C_SKU]
        row = find(catalogue.keys, catalogue.rows, skus[r])
        if row != ABSENT:
            sections[r] = catalogue.section[row]
            types[r] = catalogue.item_type[row]
            brands[r] = catalogue.brand[row]
            private[r] = catalogue.private[row]
        _add_up_run(cells, starts[r], ends[r], first_day, place, quarter, runs[r])
    household = np.full(HOUSEHOLD_COLUMNS, np.nan)
    _read_tempo(days, lines, household)
    _read_baskets(visits, first_day, household)
    _read_habits(cells, starts, ends, runs, private, household)
    if head[H_FIRST_SECOND] > 0:
        # In whole days, as everything else is: a second more or less must not move an answer.
        first = head[H_FIRST_SECOND] // SECONDS_PER_DAY
        household[TENURE] = min(as_of // SECONDS_PER_DAY - first, WINDOW_DAYS)
    return History(
        first_day, days, place, lines, month, quarter, starts, ends, skus, sections, types, brands, private, runs,
        household,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _shopping_days(cells: np.ndarray, first_day: int) -> tuple[np.ndarray, np.ndarray]:
    place = np.full(WINDOW_DAYS + 1, -1, dtype=np.int64)
    for i in range(cells.shape[0]):
        offset = cells[i, C_DAY] - first_day
        if cells[i, C_LINES] > 0 and 0 < offset <= WINDOW_DAYS:
            place[offset] = 0
    days = np.nonzero(place == 0)[0]
    for position in range(days.shape[0]):
        place[days[position]] = position
    return days, place


@njit(cache=True, nogil=True)
def _lines_of_days(cells: np.ndarray, first_day: int, days: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Log of the lines she bought on each shopping day."""
    lines = np.zeros(days.shape[0])
    for i in range(cells.shape[0]):
        offset = cells[i, C_DAY] - first_day
        if cells[i, C_LINES] > 0 and 0 < offset <= WINDOW_DAYS:
            lines[place[offset]] += cells[i, C_LINES]
    return np.log(lines)


@njit(cache=True, nogil=True)
def _item_runs(cells: np.ndarray, first_day: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each item's rows of the window stand; cells are sorted by item, then day."""
    starts = np.empty(cells.shape[0], dtype=np.int64)
    ends = np.empty(cells.shape[0], dtype=np.int64)
    used = 0
    for i in range(cells.shape[0]):
        if not first_day < cells[i, C_DAY] <= first_day + WINDOW_DAYS:
            continue
        if used > 0 and cells[starts[used - 1], C_SKU] == cells[i, C_SKU]:
            ends[used - 1] = i + 1
        else:
            starts[used] = i
            ends[used] = i + 1
            used += 1
    return starts[:used].copy(), ends[:used].copy()


@njit(cache=True, nogil=True)
def _add_up_run(
    cells: np.ndarray,
    start: int,
    end: int,
    first_day: int,
    place: np.ndarray,
    quarter: np.ndarray,
    out: np.ndarray,
) -> None:
    for i in range(start, end):
        row = cells[i]
        offset = row[C_DAY] - first_day
        if offset > WINDOW_DAYS - CLICK_DAYS:
            out[RUN_VIEWS] += row[C_VIEWS]
            out[RUN_CARTS] += row[C_CARTS]
        if row[C_LINES] <= 0:
            continue
        out[RUN_LINES] += row[C_LINES]
        out[RUN_DEALS] += row[C_DEAL_LINES]
        out[RUN_DAYS] += 1
        out[RUN_LAST] = offset
        out[RUN_WEIGHT] += quarter[place[offset]]
        out[RUN_UNITS] += row[C_UNITS] / THOUSANDTHS
        out[RUN_NET] += row[C_NET]


@njit(cache=True, nogil=True)
def _read_tempo(days: np.ndarray, lines: np.ndarray, out: np.ndarray) -> None:
    count = days.shape[0]
    out[TRIPS] = count
    out[TRIPS_MONTH] = np.sum(days > WINDOW_DAYS - MONTH_DAYS)
    if count == 0:
        return
    out[TRIP_SINCE] = WINDOW_DAYS - days[count - 1]
    out[DAY_LINES] = np.mean(lines)
    out[DAY_LINES_LAST] = lines[count - 1]
    recent = days[days > WINDOW_DAYS - QUARTER_DAYS]
    if recent.shape[0] > 1:
        out[TRIP_INTERVAL] = (recent[-1] - recent[0]) / (recent.shape[0] - 1)
        out[TRIP_DUE] = out[TRIP_SINCE] / out[TRIP_INTERVAL]


@njit(cache=True, nogil=True)
def _read_baskets(visits: np.ndarray, first_day: int, out: np.ndarray) -> None:
    receipts = 0
    lines = 0
    net = 0
    for i in range(visits.shape[0]):
        if visits[i, V_DAY] > first_day:
            receipts += visits[i, V_RECEIPTS]
            lines += visits[i, V_LINES]
            net += visits[i, V_NET]
    if receipts > 0:
        out[BASKET_LINES] = lines / receipts
        out[BASKET_SPEND] = net / receipts


@njit(cache=True, nogil=True)
def _read_habits(
    cells: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    runs: np.ndarray,
    private: np.ndarray,
    out: np.ndarray,
) -> None:
    lines = 0.0
    own = 0.0
    deals = 0.0
    coupons = 0.0
    kinds = 0
    net = 0.0
    saved = 0.0
    for r in range(starts.shape[0]):
        lines += runs[r, RUN_LINES]
        deals += runs[r, RUN_DEALS]
        net += runs[r, RUN_NET]
        if private[r] == 1:
            own += runs[r, RUN_LINES]
        if runs[r, RUN_LINES] > 0:
            kinds += 1
        for i in range(starts[r], ends[r]):
            coupons += cells[i, C_COUPON_LINES]
            saved += cells[i, C_DISCOUNT] + cells[i, C_COUPON]
    if lines > 0:
        out[VARIETY] = kinds / lines
        out[DEAL_SHARE] = deals / lines
        out[COUPON_SHARE] = coupons / lines
        out[PRIVATE_SHARE] = own / lines
    if net + saved > 0:
        out[DISCOUNT_SHARE] = saved / (net + saved)


@njit(cache=True, nogil=True)
def run_of(history: History, sku: int) -> int:
    """The run of an item, -1 when she did not touch it in the window."""
    low = 0
    high = history.run_skus.shape[0]
    while low < high:
        middle = (low + high) // 2
        if history.run_skus[middle] < sku:
            low = middle + 1
        else:
            high = middle
    return low if low < history.run_skus.shape[0] and history.run_skus[low] == sku else -1


@njit(cache=True, nogil=True)
def weighted_share(history: History, marks: np.ndarray, weights: np.ndarray) -> float:
    """Share of the shopping days' weight that stands on marked days; NaN without shopping days."""
    total = 0.0
    marked = 0.0
    for i in range(weights.shape[0]):
        total += weights[i]
        if marks[i]:
            marked += weights[i]
    return marked / total if total > 0 else math.nan
