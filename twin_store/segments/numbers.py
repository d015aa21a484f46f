"""What a twin is told apart by: named numbers at the ends of periods, read from its own tables, compiled.

Periods are 28 days long and begin on Mondays, counted from 1970-01-05, so that weeks of visits fall in one each.
A number of a period's end covers a window of some periods up to and including that one. Missing is NaN.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from twin_store.catalogue import CatalogueTables
from twin_store.dna.layout import (
    C_COUPON,
    C_COUPON_LINES,
    C_DAY,
    C_DEAL_LINES,
    C_DISCOUNT,
    C_LINES,
    C_NET,
    C_SKU,
    READ_WEEKS,
    V_DAY,
    V_LINES,
    V_NET,
    V_RECEIPTS,
)
from twin_store.dna.rows import SECONDS_PER_DAY
from twin_store.key_index import ABSENT, find
from twin_store.messages.codec import FIRST_MONDAY

PERIOD_DAYS = 28
PERIODS_MAX = 7 * READ_WEEKS // PERIOD_DAYS  # as many whole periods as a twin's tables can be read over
SATURDAY = 5  # days after Monday


class Number(NamedTuple):
    """One number of a twin at the end of a period."""

    name: str
    unit: str
    meaning: str


NUMBERS: tuple[Number, ...] = (
    Number("trips_month", "days", "shopping days a period of 28 days, of those since she was first seen"),
    Number(
        "spend_month", "money", "spend a period of 28 days, of those since she was first seen, in minor units"
    ),
    Number("basket_lines", "lines", "mean lines a receipt"),
    Number("basket_spend", "money", "mean spend a receipt, in minor units"),
    Number("deal_share", "share", "share of her purchases on a deal"),
    Number("coupon_share", "share", "share of her purchases with a coupon"),
    Number("discount_share", "share", "discounts over spend before discounts"),
    Number("variety", "share", "different items over purchases: 1 when she never buys the same again"),
    Number("weekend_share", "share", "share of her shopping days that are Saturdays and Sundays, in UTC"),
    Number("own_brand_share", "share", "share of her purchases that are own-brand; needs the catalogue"),
    Number("days_quiet", "days", "days since she last shopped, if that was in the window"),
    Number("tenure", "days", "days since she was first seen"),
)
NUMBER_NAMES: tuple[str, ...] = tuple(number.name for number in NUMBERS)
NUMBER_COLUMNS = len(NUMBERS)
NEEDS_CATALOGUE = "own_brand_share"

(
    N_TRIPS_MONTH, N_SPEND_MONTH, N_BASKET_LINES, N_BASKET_SPEND, N_DEAL_SHARE, N_COUPON_SHARE, N_DISCOUNT_SHARE,
    N_VARIETY, N_WEEKEND_SHARE, N_OWN_BRAND_SHARE, N_DAYS_QUIET, N_TENURE,
) = range(12)  # fmt: skip

# What adds up over periods, by column.
_LINES, _DEALS, _COUPONS, _OWN, _NET, _SAVED, _RECEIPTS, _RECEIPT_LINES, _RECEIPT_NET, _DAYS, _WEEKENDS = (
    range(11)
)
_SUMS = 11


def last_period(as_of: int) -> int:
    """The newest period that is over at epoch second `as_of`."""
    return ((as_of + 1) // SECONDS_PER_DAY - FIRST_MONDAY) // PERIOD_DAYS - 1


def end_of(period: int) -> int:
    """The last epoch second of a period."""
    return (FIRST_MONDAY + PERIOD_DAYS * (period + 1)) * SECONDS_PER_DAY - 1


@njit(cache=True, nogil=True)
def numbers_at(
    cells: np.ndarray,
    visits: np.ndarray,
    first_second: int,
    catalogue: CatalogueTables,
    last: int,
    ends: int,
    window: int,
) -> np.ndarray:
    """The numbers at the ends of the periods up to `last`: float64 [ends, NUMBER_COLUMNS], the oldest first.

    Args:
        cells, visits: the twin's tables, rewound to the end of period `last` unless nothing that came later takes back.
        first_second: when she was first seen, epoch seconds; 0 if never.
        last: a period.
        ends: how many periods' ends; `ends + window - 1` periods are read.
        window: how many periods a number covers.
    """
    periods = ends + window - 1
    first_day = FIRST_MONDAY + PERIOD_DAYS * (last - periods + 1)
    sums, shopped, kinds = _read_cells(cells, first_day, ends, window)
    if catalogue.private.shape[0] > 0:
        _add_own_brand(cells, first_day, catalogue, sums)
    _add_visits(visits, first_day, sums)
    for day in range(shopped.shape[0]):
        if shopped[day]:
            sums[day // PERIOD_DAYS, _DAYS] += 1
            sums[day // PERIOD_DAYS, _WEEKENDS] += day % 7 >= SATURDAY
    out = np.full((ends, NUMBER_COLUMNS), math.nan)
    for e in range(ends):
        end_day = first_day + PERIOD_DAYS * (e + window)  # the day after the last
        known = float(window)
        if first_second > 0:
            out[e, N_TENURE] = end_day - first_second / SECONDS_PER_DAY
            known = min(known, max(out[e, N_TENURE] / PERIOD_DAYS, 1.0))
        _write_numbers(sums[e : e + window].sum(axis=0), kinds[e], known, out[e])
        out[e, N_DAYS_QUIET] = _days_quiet(shopped[PERIOD_DAYS * e : PERIOD_DAYS * (e + window)])
    return out


@njit(cache=True, nogil=True)
def _days_quiet(shopped: np.ndarray) -> float:
    for day in range(shopped.shape[0] - 1, -1, -1):
        if shopped[day]:
            return float(shopped.shape[0] - 1 - day)
    return math.nan


@njit(cache=True, nogil=True)
def _read_cells(
    cells: np.ndarray, first_day: int, ends: int, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What was bought, from cells sorted by item, then day, in one pass.

    Returns:
        The periods' sums; whether she shopped on each of their days; how many different items the window of each
        end has.
    """
    periods = ends + window - 1
    sums = np.zeros((periods, _SUMS), dtype=np.int64)
    shopped = np.zeros(periods * PERIOD_DAYS, dtype=np.bool_)
    bought_in = np.zeros(cells.shape[0], dtype=np.int64)  # a bit a period, by item
    item = -1
    for i in range(cells.shape[0]):
        if i == 0 or cells[i, C_SKU] != cells[i - 1, C_SKU]:
            item += 1
        offset = cells[i, C_DAY] - first_day
        if not 0 <= offset < shopped.shape[0] or cells[i, C_LINES] <= 0:
            continue
        period = offset // PERIOD_DAYS
        shopped[offset] = True
        bought_in[item] |= 1 << period
        into = sums[period]
        into[_LINES] += cells[i, C_LINES]
        into[_DEALS] += cells[i, C_DEAL_LINES]
        into[_COUPONS] += cells[i, C_COUPON_LINES]
        into[_NET] += cells[i, C_NET]
        into[_SAVED] += cells[i, C_DISCOUNT] + cells[i, C_COUPON]
    kinds = np.zeros(ends, dtype=np.int64)
    for e in range(ends):
        in_window = ((1 << window) - 1) << e
        for i in range(item + 1):
            kinds[e] += bought_in[i] & in_window != 0
    return sums, shopped, kinds


@njit(cache=True, nogil=True)
def _add_own_brand(cells: np.ndarray, first_day: int, catalogue: CatalogueTables, sums: np.ndarray) -> None:
    """Add the purchases of what the catalogue knows as the retailer's own brand: a search an item and day."""
    for i in range(cells.shape[0]):
        offset = cells[i, C_DAY] - first_day
        if 0 <= offset < sums.shape[0] * PERIOD_DAYS and cells[i, C_LINES] > 0:
            row = find(catalogue.keys, catalogue.rows, cells[i, C_SKU])
            if row != ABSENT and catalogue.private[row] == 1:
                sums[offset // PERIOD_DAYS, _OWN] += cells[i, C_LINES]


@njit(cache=True, nogil=True)
def _add_visits(visits: np.ndarray, first_day: int, sums: np.ndarray) -> None:
    for i in range(visits.shape[0]):
        offset = visits[i, V_DAY] - first_day
        if 0 <= offset < sums.shape[0] * PERIOD_DAYS:
            period = offset // PERIOD_DAYS
            sums[period, _RECEIPTS] += visits[i, V_RECEIPTS]
            sums[period, _RECEIPT_LINES] += visits[i, V_LINES]
            sums[period, _RECEIPT_NET] += visits[i, V_NET]


@njit(cache=True, nogil=True)
def _write_numbers(sums: np.ndarray, kinds: int, periods: float, out: np.ndarray) -> None:
    """All but tenure and quiet days; `periods` are those of the window since she was first seen."""
    out[N_TRIPS_MONTH] = sums[_DAYS] / periods
    out[N_SPEND_MONTH] = sums[_NET] / periods
    if sums[_RECEIPTS] > 0:
        out[N_BASKET_LINES] = sums[_RECEIPT_LINES] / sums[_RECEIPTS]
        out[N_BASKET_SPEND] = sums[_RECEIPT_NET] / sums[_RECEIPTS]
    if sums[_LINES] > 0:
        out[N_DEAL_SHARE] = sums[_DEALS] / sums[_LINES]
        out[N_COUPON_SHARE] = sums[_COUPONS] / sums[_LINES]
        out[N_VARIETY] = kinds / sums[_LINES]
        out[N_WEEKEND_SHARE] = sums[_WEEKENDS] / sums[_DAYS]
        out[N_OWN_BRAND_SHARE] = sums[_OWN] / sums[_LINES]
    if sums[_NET] + sums[_SAVED] > 0:
        out[N_DISCOUNT_SHARE] = sums[_SAVED] / (sums[_NET] + sums[_SAVED])
