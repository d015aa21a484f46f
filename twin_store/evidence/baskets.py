"""The evidence on whole baskets, from the evidence on their items, compiled: one row a basket."""

import math

import numpy as np
from numba import njit

from twin_store.evidence.affinities import (
    A_HISTORY,
    A_HISTORY_TYPE,
    A_HOUR,
    A_LINES,
    A_REACH,
    A_STORE,
    A_TASTE,
    A_TASTE_LIFT,
    A_TRIAL,
    A_TYPE_BASKETS,
    A_TYPE_HOUR,
    A_TYPE_REACH,
    A_TYPE_TASTE,
    A_TYPE_TRIAL,
    A_TYPE_WEEKDAY,
    A_WEEKDAY,
)
from twin_store.evidence.history import (
    BASKET_LINES,
    BASKET_SPEND,
    DAY_LINES,
    DEAL_SHARE,
    PRIVATE_SHARE,
    TRIP_SINCE,
    TRIPS,
    VARIETY,
)
from twin_store.evidence.items import (
    I_BRAND_SHARE,
    I_TO_TYPE_PAID,
    ITEM,
    M_STORE_LISTS,
    SECTION,
    TYPE,
)
from twin_store.evidence.levels import L_DAYS, L_DUE, L_SHARE, L_SHARE_MONTH, L_SINCE
from twin_store.evidence.names import (
    BASKET_EVIDENCE,
    OF_AFFINITY,
    OF_HOUSEHOLD,
    OF_ITEMS,
    OF_MOMENT,
    OF_PRODUCT,
)
from twin_store.evidence.products import P_DEAL_SHARE, P_OWN_BRAND, P_POPULARITY_8, P_PRICE, POPULARITY_PER

BASKET_COLUMNS = len(BASKET_EVIDENCE)
PRIOR_TRIPS = 2.0  # shopping days that everybody's habits count for against her own
SHARE_FLOOR = 1e-4
TRIAL_UNKNOWN = 0.5  # share of first purchases of an item that the fitted tables do not know

(
    B_ITEMS, B_SIZE, B_SPEND, B_KNOWN_SHARE, B_KNOWN_ITEMS, B_KNOWN_TYPES, B_KNOWN_SECTIONS, B_SURPRISE_ITEM,
    B_SURPRISE_TYPE, B_SURPRISE_SECTION, B_SURPRISE_TOTAL, B_ITEM_SHARE, B_ITEM_SHARE_BEST, B_ITEM_SHARE_MONTH,
    B_ITEM_DUE, B_ITEM_SINCE, B_ITEM_SINCE_LEAST, B_TYPE_DUE, B_HISTORY, B_HISTORY_TYPE, B_TASTE, B_TYPE_TASTE,
    B_BRAND_SHARE, B_PRIVATE, B_DEAL, B_TO_TYPE_PAID, B_POPULARITY, B_STORE_LISTS, B_TRIPS, B_TRIP_SINCE, B_VARIETY,
    B_KNOWN_LIFT, B_KNOWN_LIFT_TOTAL, B_KNOWN_TYPE_LIFT, B_TYPE_SHARE_LIFT, B_TYPE_SHARE_LIFT_TOTAL, B_TASTE_LIFT,
    B_TASTE_LIFT_LEAST, B_TASTE_LIFT_BEST, B_HOUR, B_TYPE_HOUR, B_WEEKDAY, B_TYPE_WEEKDAY, B_STORE,
    B_LINES_DIFFERENCE,
) = range(45)  # fmt: skip


@njit(cache=True, nogil=True)
def basket_evidence(items: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Evidence on each basket: float64 [k, BASKET_COLUMNS], columns as `names.BASKET_EVIDENCE`.

    Args:
        items: [n, ITEM_COLUMNS] the baskets' items, one basket after the other.
        ends: [k] where each basket ends in `items`.
    """
    out = np.full((ends.shape[0], BASKET_COLUMNS), math.nan)
    start = 0
    for b in range(ends.shape[0]):
        if ends[b] > start:
            _write_one(items[start : ends[b]], out[b])
        start = ends[b]
    return out


@njit(cache=True, nogil=True)
def _write_one(items: np.ndarray, out: np.ndarray) -> None:
    count = items.shape[0]
    household = items[0, OF_HOUSEHOLD:]
    known = items[:, ITEM + L_DAYS] > 0
    out[B_ITEMS] = count
    out[B_SIZE] = _log_ratio(count, household[BASKET_LINES])
    out[B_SPEND] = _log_ratio(np.nansum(items[:, OF_PRODUCT + P_PRICE]), household[BASKET_SPEND])
    out[B_KNOWN_ITEMS] = np.sum(known)
    out[B_KNOWN_SHARE] = np.mean(known)
    out[B_KNOWN_TYPES] = np.mean(items[:, TYPE + L_DAYS] > 0)
    out[B_KNOWN_SECTIONS] = np.mean(items[:, SECTION + L_DAYS] > 0)
    _write_surprise(items, household, out)
    out[B_ITEM_SHARE] = np.nanmean(items[:, ITEM + L_SHARE])
    out[B_ITEM_SHARE_BEST] = np.nanmax(items[:, ITEM + L_SHARE])
    out[B_ITEM_SHARE_MONTH] = np.nanmean(items[:, ITEM + L_SHARE_MONTH])
    out[B_ITEM_DUE] = np.nanmean(items[:, ITEM + L_DUE])
    out[B_ITEM_SINCE] = np.nanmean(items[:, ITEM + L_SINCE])
    out[B_ITEM_SINCE_LEAST] = np.nanmin(items[:, ITEM + L_SINCE])
    out[B_TYPE_DUE] = np.nanmean(items[:, TYPE + L_DUE])
    out[B_HISTORY] = np.nanmean(items[:, OF_AFFINITY + A_HISTORY])
    out[B_HISTORY_TYPE] = np.nanmean(items[:, OF_AFFINITY + A_HISTORY_TYPE])
    out[B_TASTE] = np.nanmean(items[:, OF_AFFINITY + A_TASTE])
    out[B_TYPE_TASTE] = np.nanmean(items[:, OF_AFFINITY + A_TYPE_TASTE])
    out[B_BRAND_SHARE] = np.nanmean(items[:, OF_ITEMS + I_BRAND_SHARE])
    out[B_PRIVATE] = np.nanmean(items[:, OF_PRODUCT + P_OWN_BRAND]) - household[PRIVATE_SHARE]
    out[B_DEAL] = np.nanmean(items[:, OF_PRODUCT + P_DEAL_SHARE]) - household[DEAL_SHARE]
    out[B_TO_TYPE_PAID] = np.nanmean(items[:, OF_ITEMS + I_TO_TYPE_PAID])
    out[B_POPULARITY] = np.nanmean(np.log1p(items[:, OF_PRODUCT + P_POPULARITY_8]))
    out[B_STORE_LISTS] = np.nanmean(items[:, OF_MOMENT + M_STORE_LISTS])
    out[B_TRIPS] = household[TRIPS]
    out[B_TRIP_SINCE] = household[TRIP_SINCE]
    out[B_VARIETY] = household[VARIETY]
    _write_lifts(items, known, household, out)
    affinity = items[:, OF_AFFINITY:]
    out[B_TASTE_LIFT] = np.nanmean(affinity[:, A_TASTE_LIFT])
    out[B_TASTE_LIFT_LEAST] = np.nanmin(affinity[:, A_TASTE_LIFT])
    out[B_TASTE_LIFT_BEST] = np.nanmax(affinity[:, A_TASTE_LIFT])
    out[B_HOUR] = np.nanmean(affinity[:, A_HOUR])
    out[B_TYPE_HOUR] = np.nanmean(affinity[:, A_TYPE_HOUR])
    out[B_WEEKDAY] = np.nanmean(affinity[:, A_WEEKDAY])
    out[B_TYPE_WEEKDAY] = np.nanmean(affinity[:, A_TYPE_WEEKDAY])
    out[B_STORE] = np.nanmean(affinity[:, A_STORE])
    out[B_LINES_DIFFERENCE] = np.nanmean(affinity[:, A_LINES]) - household[DAY_LINES]


@njit(cache=True, nogil=True)
def _log_ratio(one: float, other: float) -> float:
    """NaN unless both are above 0."""
    return math.log(one / other) if one > 0 and other > 0 else math.nan


@njit(cache=True, nogil=True)
def _write_surprise(items: np.ndarray, household: np.ndarray, out: np.ndarray) -> None:
    """How much likelier each item is in her basket than in anybody's of the same size."""
    total = 0.0
    of_type = 0.0
    of_section = 0.0
    for i in range(items.shape[0]):
        popularity = items[i, OF_PRODUCT + P_POPULARITY_8]
        usual = SHARE_FLOOR
        if not math.isnan(popularity) and not math.isnan(household[BASKET_LINES]):
            usual = min(max(popularity / POPULARITY_PER * household[BASKET_LINES], SHARE_FLOOR), 1.0)
        total += math.log(_smoothed(items[i, ITEM + L_DAYS], household[TRIPS], usual) / usual)
        of_type += math.log(_smoothed(items[i, TYPE + L_DAYS], household[TRIPS], usual))
        of_section += math.log(_smoothed(items[i, SECTION + L_DAYS], household[TRIPS], usual))
    out[B_SURPRISE_TOTAL] = total
    out[B_SURPRISE_ITEM] = total / items.shape[0]
    out[B_SURPRISE_TYPE] = of_type / items.shape[0]
    out[B_SURPRISE_SECTION] = of_section / items.shape[0]


@njit(cache=True, nogil=True)
def _write_lifts(items: np.ndarray, known: np.ndarray, household: np.ndarray, out: np.ndarray) -> None:
    """How much likelier than anybody's basket hers holds what she knows and what she does not."""
    total = 0.0
    of_types = 0.0
    shares = 0.0
    for i in range(items.shape[0]):
        affinity = items[i, OF_AFFINITY:]
        total += _known_lift(known[i], affinity[A_TRIAL], affinity[A_REACH])
        days = items[i, TYPE + L_DAYS]
        of_types += _known_lift(days > 0, affinity[A_TYPE_TRIAL], affinity[A_TYPE_REACH])
        usual = affinity[A_TYPE_BASKETS]
        if not math.isnan(usual) and not math.isnan(days):
            usual = max(usual, SHARE_FLOOR)
            shares += math.log(_smoothed(days, household[TRIPS], usual) / usual)
    out[B_KNOWN_LIFT_TOTAL] = total
    out[B_KNOWN_LIFT] = total / items.shape[0]
    out[B_KNOWN_TYPE_LIFT] = of_types / items.shape[0]
    out[B_TYPE_SHARE_LIFT_TOTAL] = shares
    out[B_TYPE_SHARE_LIFT] = shares / items.shape[0]


@njit(cache=True, nogil=True)
def _known_lift(is_known: bool, trial: float, reach: float) -> float:
    """Log odds that a purchase is hers, from whether she had bought it before.

    Args:
        trial: share of purchases that are a customer's first.
        reach: share of customers who have bought it: the chance that somebody taken at random knows it.
    """
    if math.isnan(trial) or math.isnan(reach):
        trial, reach = TRIAL_UNKNOWN, SHARE_FLOOR
    reach = min(max(reach, SHARE_FLOOR), 1 - SHARE_FLOOR)
    return math.log((1 - trial) / reach) if is_known else math.log(trial / (1 - reach))


@njit(cache=True, nogil=True)
def _smoothed(days: float, trips: float, usual: float) -> float:
    if math.isnan(days):
        return usual
    return (days + PRIOR_TRIPS * usual) / (trips + PRIOR_TRIPS)
