"""The evidence on a campaign's vouchers, compiled: one row a customer and campaign."""

import math

import numpy as np
from numba import njit

from twin_store.catalogue import UNKNOWN, CatalogueTables
from twin_store.dna.layout import C_COUPON, C_COUPON_LINES, C_DAY, C_LINES, C_NET
from twin_store.evidence.history import (
    BASKET_LINES,
    BASKET_SPEND,
    DEAL_SHARE,
    DISCOUNT_SHARE,
    MONTH_DAYS,
    PRIVATE_SHARE,
    QUARTER_DAYS,
    RUN_DAYS,
    RUN_DEALS,
    RUN_LINES,
    TENURE,
    TRIP_INTERVAL,
    TRIP_SINCE,
    TRIPS,
    TRIPS_MONTH,
    VARIETY,
    WINDOW_DAYS,
    History,
    read_history,
    weighted_share,
)
from twin_store.evidence.levels import mark_run
from twin_store.evidence.names import VOUCHER_EVIDENCE
from twin_store.key_index import ABSENT, find_ordered

VOUCHER_COLUMNS = len(VOUCHER_EVIDENCE)

(
    V_ITEMS, V_CAMPAIGN_DAYS, V_CAMPAIGN_RATE, V_KNOWN, V_DAYS, V_SINCE, V_SHARE, V_SHARE_MONTH,
    V_SHARE_QUARTER, V_LINES_BOUGHT, V_OF_LINES, V_TYPES, V_COUPON_LINES, V_COUPON_DAYS, V_COUPON_SINCE,
    V_COUPON_SHARE, V_COUPON_SHARE_QUARTER, V_COUPON_SAVED, V_DISCOUNT_SHARE, V_DEAL_SHARE, V_TRIPS,
    V_TRIPS_MONTH, V_TRIP_SINCE, V_TRIP_INTERVAL, V_BASKET_LINES, V_BASKET_SPEND, V_SPEND_MONTH,
    V_PRIVATE_SHARE, V_VARIETY, V_TENURE, V_COUPON_LINES_COVERED, V_COUPON_LINES_TYPES, V_COUPON_LINES_QUARTER,
    V_KINDS_OF_TYPES, V_DAYS_BEST, V_DUE, V_DEALS, V_TYPES_BOUGHT,
) = range(38)  # fmt: skip


@njit(cache=True, nogil=True)
def voucher_evidence(
    cells: np.ndarray,
    visits: np.ndarray,
    head: np.ndarray,
    as_of: int,
    catalogue: CatalogueTables,
    covered: np.ndarray,
    covered_types: np.ndarray,
    campaign_days: float,
    campaign_rate: float,
) -> np.ndarray:
    """Evidence on one campaign: float64 [1, VOUCHER_COLUMNS], columns as `names.VOUCHER_EVIDENCE`.

    Args:
        cells, visits, head: the twin's tables, rewound to `as_of` (epoch seconds).
        covered, covered_types: keys of the vouchers' skus and of their types, each sorted.
        campaign_days: days until it ends, NaN when that is not known.
        campaign_rate: redeemed share of past offers of its type, NaN when there were none.
    """
    history = read_history(cells, visits, head, catalogue, as_of)
    out = np.full((1, VOUCHER_COLUMNS), math.nan)
    row = out[0]
    row[V_ITEMS] = math.log1p(covered.shape[0])
    row[V_CAMPAIGN_DAYS] = campaign_days
    row[V_CAMPAIGN_RATE] = campaign_rate
    _write_covered(history, cells, covered, covered_types, row)
    _write_coupons(history, cells, row)
    household = history.household
    row[V_DISCOUNT_SHARE] = household[DISCOUNT_SHARE]
    row[V_DEAL_SHARE] = household[DEAL_SHARE]
    row[V_TRIPS] = household[TRIPS]
    row[V_TRIPS_MONTH] = household[TRIPS_MONTH]
    row[V_TRIP_SINCE] = household[TRIP_SINCE]
    row[V_TRIP_INTERVAL] = household[TRIP_INTERVAL]
    row[V_BASKET_LINES] = household[BASKET_LINES]
    row[V_BASKET_SPEND] = household[BASKET_SPEND]
    row[V_PRIVATE_SHARE] = household[PRIVATE_SHARE]
    row[V_VARIETY] = household[VARIETY]
    row[V_TENURE] = household[TENURE]
    return out


@njit(cache=True, nogil=True)
def _write_covered(
    history: History, cells: np.ndarray, covered: np.ndarray, covered_types: np.ndarray, row: np.ndarray
) -> None:
    marks = np.zeros(history.days.shape[0], dtype=np.bool_)
    types = np.zeros(covered_types.shape[0], dtype=np.bool_)
    known = 0
    best = 0.0
    lines = 0.0
    deals = 0.0
    coupons = 0.0
    of_types = 0.0
    kinds_of_types = 0
    coupons_of_types = 0.0
    everything = 0.0
    for r in range(history.run_skus.shape[0]):
        bought = history.runs[r, RUN_LINES]
        if bought <= 0:
            continue
        everything += bought
        of_type = (
            find_ordered(covered_types, history.run_types[r]) if history.run_types[r] != UNKNOWN else ABSENT
        )
        if of_type != ABSENT:
            types[of_type] = True
            of_types += bought
            kinds_of_types += 1
            coupons_of_types += _coupon_lines(history, cells, r)
        if find_ordered(covered, history.run_skus[r]) != ABSENT:
            known += 1
            lines += bought
            deals += history.runs[r, RUN_DEALS]
            coupons += _coupon_lines(history, cells, r)
            best = max(best, history.runs[r, RUN_DAYS])
            mark_run(history, cells, r, marks)
    row[V_KNOWN] = known
    row[V_LINES_BOUGHT] = lines
    row[V_DAYS] = np.sum(marks)
    row[V_DAYS_BEST] = best
    row[V_COUPON_LINES_COVERED] = coupons
    row[V_COUPON_LINES_TYPES] = coupons_of_types
    row[V_KINDS_OF_TYPES] = kinds_of_types
    row[V_TYPES_BOUGHT] = np.sum(types)
    if everything > 0:
        row[V_OF_LINES] = lines / everything
        row[V_TYPES] = of_types / everything
        row[V_SHARE] = np.sum(marks) / marks.shape[0]
        row[V_SHARE_MONTH] = weighted_share(history, marks, history.month)
        row[V_SHARE_QUARTER] = weighted_share(history, marks, history.quarter)
    if lines > 0:
        row[V_DEALS] = deals / lines
    row[V_SINCE] = _days_since(history, marks)
    bought_on = history.days[marks]
    if bought_on.shape[0] > 1:
        row[V_DUE] = row[V_SINCE] * (bought_on.shape[0] - 1) / (bought_on[-1] - bought_on[0])


@njit(cache=True, nogil=True)
def _coupon_lines(history: History, cells: np.ndarray, run: int) -> float:
    """Her purchases of one item with a coupon."""
    lines = 0.0
    for i in range(history.run_starts[run], history.run_ends[run]):
        lines += cells[i, C_COUPON_LINES]
    return lines


@njit(cache=True, nogil=True)
def _write_coupons(history: History, cells: np.ndarray, row: np.ndarray) -> None:
    marks = np.zeros(history.days.shape[0], dtype=np.bool_)
    lines = 0
    recent = 0
    saved = 0
    net = 0
    spend_month = 0
    for i in range(cells.shape[0]):
        offset = cells[i, C_DAY] - history.first_day
        if not 0 < offset <= WINDOW_DAYS:
            continue
        net += cells[i, C_NET]
        saved += cells[i, C_COUPON]
        if offset > WINDOW_DAYS - MONTH_DAYS:
            spend_month += cells[i, C_NET]
        if cells[i, C_COUPON_LINES] > 0 and cells[i, C_LINES] > 0:
            lines += cells[i, C_COUPON_LINES]
            marks[history.place[offset]] = True
            if offset > WINDOW_DAYS - QUARTER_DAYS:
                recent += cells[i, C_COUPON_LINES]
    row[V_COUPON_LINES] = lines
    row[V_COUPON_LINES_QUARTER] = recent
    row[V_COUPON_DAYS] = np.sum(marks)
    row[V_SPEND_MONTH] = spend_month
    if marks.shape[0] > 0:
        row[V_COUPON_SHARE] = np.sum(marks) / marks.shape[0]
        row[V_COUPON_SHARE_QUARTER] = weighted_share(history, marks, history.quarter)
    if net + saved > 0:
        row[V_COUPON_SAVED] = saved / (net + saved)
    row[V_COUPON_SINCE] = _days_since(history, marks)


@njit(cache=True, nogil=True)
def _days_since(history: History, marks: np.ndarray) -> float:
    for i in range(marks.shape[0] - 1, -1, -1):
        if marks[i]:
            return float(WINDOW_DAYS - history.days[i])
    return math.nan
