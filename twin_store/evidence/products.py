"""What the market and the fitted tables say of one product, compiled; nothing here knows the customer."""

import math

import numpy as np
from numba import njit

from twin_store.affinity import ALL_BASKETS, BASKETS, EVERYTHING, AffinityTables, StoreTables
from twin_store.key_index import ABSENT, find, find_ordered
from twin_store.market import (
    MARKET_WEEKS,
    W_DEAL_LINES,
    W_LINES,
    W_NET,
    W_UNITS,
    W_WEEK,
    MarketTables,
    listing_key_compiled,
)

(
    P_PRICE, P_PRICE_TO_USUAL, P_POPULARITY_1, P_POPULARITY_2, P_POPULARITY_4, P_POPULARITY_8, P_GROWTH,
    P_WEEKS_SOLD, P_DEAL_SHARE, P_DEAL_SHARE_LAST, P_OWN_BRAND,
) = range(11)  # fmt: skip
POPULARITY_PER = 10_000
GROWTH_FLOOR = 0.5  # lines per 10,000 added on both sides, so that rare items do not swing
LIFT_FLOOR = 5.0  # baskets added on both sides, so that rare pairs stay near no lift


@njit(cache=True, nogil=True)
def write_product(
    market: MarketTables, sku: int, week: int, price: float, list_price: float, out: np.ndarray
) -> None:
    """The product's numbers from the completed weeks before `week`.

    Args:
        price: quoted now, minor units, NaN when it is not known.
        list_price: the catalogue's, NaN when it has none.
        out: in the order of `names._PRODUCT`; own_brand is left alone.
    """
    prices = np.full(MARKET_WEEKS, math.nan)
    lines = np.zeros(MARKET_WEEKS)
    deals = np.zeros(MARKET_WEEKS)
    row = find(market.keys, market.rows, sku)
    if row != ABSENT:
        for i in range(market.starts[row], market.starts[row] + market.lengths[row]):
            facts = market.weeks[i]
            age = week - 1 - facts[W_WEEK]
            if 0 <= age < MARKET_WEEKS:
                lines[age] = facts[W_LINES]
                deals[age] = facts[W_DEAL_LINES]
                if facts[W_UNITS] > 0 and facts[W_NET] > 0:
                    prices[age] = 1000 * facts[W_NET] / facts[W_UNITS]
    usual = np.nanmedian(prices)
    if math.isnan(usual):
        usual = list_price
    now = price
    if math.isnan(now):
        now = prices[0]
    out[P_PRICE] = usual if math.isnan(price) else price
    if usual > 0:
        out[P_PRICE_TO_USUAL] = now / usual
    out[P_POPULARITY_1] = _popularity(market.totals, lines, week, 1)
    out[P_POPULARITY_2] = _popularity(market.totals, lines, week, 2)
    out[P_POPULARITY_4] = _popularity(market.totals, lines, week, 4)
    out[P_POPULARITY_8] = _popularity(market.totals, lines, week, 8)
    out[P_GROWTH] = math.log((out[P_POPULARITY_2] + GROWTH_FLOOR) / (out[P_POPULARITY_8] + GROWTH_FLOOR))
    out[P_WEEKS_SOLD] = np.sum(lines > 0)
    out[P_DEAL_SHARE] = _share(deals, lines, 8)
    out[P_DEAL_SHARE_LAST] = _share(deals, lines, 1)


@njit(cache=True, nogil=True)
def _popularity(totals: np.ndarray, lines: np.ndarray, week: int, weeks: int) -> float:
    total = np.sum(totals[max(week - weeks, 0) : week])
    return POPULARITY_PER * np.sum(lines[:weeks]) / total if total > 0 else math.nan


@njit(cache=True, nogil=True)
def _share(part: np.ndarray, whole: np.ndarray, weeks: int) -> float:
    total = np.sum(whole[:weeks])
    return np.sum(part[:weeks]) / total if total > 0 else math.nan


@njit(cache=True, nogil=True)
def pair_count(level: AffinityTables, one: int, other: int) -> float:
    """Baskets that held both rows; 0 when the pair was not kept."""
    low = level.starts[one]
    high = level.starts[one + 1]
    end = high
    while low < high:
        middle = (low + high) // 2
        if level.neighbours[middle] < other:
            low = middle + 1
        else:
            high = middle
    return float(level.together[low]) if low < end and level.neighbours[low] == other else 0.0


@njit(cache=True, nogil=True)
def cosine(level: AffinityTables, one: int, other: int, together: float) -> float:
    """How far two rows share their baskets, 0 to 1."""
    return together / math.sqrt(level.facts[one, BASKETS] * level.facts[other, BASKETS])


@njit(cache=True, nogil=True)
def lift(level: AffinityTables, one: int, other: int, together: float) -> float:
    """Log of how much oftener than by chance two rows share a basket, shrunk towards 0 where little is known."""
    expected = level.facts[one, BASKETS] * level.facts[other, BASKETS] / level.totals[ALL_BASKETS]
    return math.log((together + LIFT_FLOOR) / (expected + LIFT_FLOOR))


@njit(cache=True, nogil=True)
def store_lift(stores: StoreTables, what: int, store: int) -> float:
    """Log of how much oftener a product or type is bought in a store than everywhere, shrunk towards 0.

    NaN where the store or the product is not known.
    """
    here = _sold(stores, EVERYTHING, store)
    usual = _sold(stores, what, EVERYTHING)
    if here == 0 or usual == 0:
        return math.nan
    expected = here * usual / _sold(stores, EVERYTHING, EVERYTHING)
    return math.log((_sold(stores, what, store) + LIFT_FLOOR) / (expected + LIFT_FLOOR))


@njit(cache=True, nogil=True)
def _sold(stores: StoreTables, what: int, store: int) -> float:
    at = find_ordered(stores.pairs, listing_key_compiled(what, store))
    return float(stores.lines[at]) if at != ABSENT else 0.0
