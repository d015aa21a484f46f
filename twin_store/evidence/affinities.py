"""What the fitted tables say of a product, by itself and beside what she buys and the basket holds, compiled."""

import math

import numpy as np
from numba import njit

from twin_store.affinity import (
    ALL_BASKETS,
    ALL_CUSTOMERS,
    BASKETS,
    BUYERS,
    HOURS,
    LINES,
    OF_PARENT,
    RARITY,
    REBUY_DAYS,
    REBUY_RATE,
    TRIAL,
    AffinityTables,
)
from twin_store.evidence.history import RUN_DAYS, RUN_WEIGHT, History, run_of
from twin_store.evidence.products import cosine, lift, pair_count
from twin_store.key_index import ABSENT, find, find_all
from twin_store.messages.codec import SECONDS_PER_DAY

# In the order of `names._AFFINITY`.
(
    A_REBUY_RATE, A_REBUY_DAYS, A_REBUY_DUE, A_BUYERS, A_TYPE_REBUY_RATE, A_TYPE_REBUY_DUE, A_HISTORY,
    A_HISTORY_TYPE, A_TASTE, A_TYPE_TASTE, A_BASKET_SIZE, A_BASKET, A_BASKET_BEST, A_BASKET_LIFT, A_BASKET_LIFT_BEST,
    A_BASKET_HAS_TYPE, A_BASKET_HAS_SECTION, A_TASTE_LIFT, A_HOUR, A_WEEKDAY, A_TYPE_HOUR, A_TYPE_WEEKDAY, A_LINES,
    A_TYPE_LINES, A_TRIAL, A_OF_TYPE, A_TYPE_OF_SECTION, A_STORE, A_STORE_TYPE, A_REACH, A_TYPE_REACH, A_TYPE_TRIAL,
    A_TYPE_BASKETS,
) = range(33)  # fmt: skip
BUYERS_PRIOR = 10.0  # buyers added to every product's, so that the rarest do not stand out


@njit(cache=True, nogil=True)
def write_rebuys(
    skus: AffinityTables,
    types: AffinityTables,
    own: int,
    own_type: int,
    since: float,
    type_since: float,
    out: np.ndarray,
) -> None:
    """How it is bought again; `since` and `type_since` are the days since she bought it, and its type."""
    if own != ABSENT:
        out[A_REBUY_RATE] = skus.facts[own, REBUY_RATE]
        out[A_REBUY_DAYS] = skus.facts[own, REBUY_DAYS]
        out[A_REBUY_DUE] = since / skus.facts[own, REBUY_DAYS]
        out[A_BUYERS] = math.log1p(skus.facts[own, BUYERS])
    if own_type != ABSENT:
        out[A_TYPE_REBUY_RATE] = types.facts[own_type, REBUY_RATE]
        out[A_TYPE_REBUY_DUE] = type_since / types.facts[own_type, REBUY_DAYS]


@njit(cache=True, nogil=True)
def write_usage(
    skus: AffinityTables, types: AffinityTables, own: int, own_type: int, as_of: int, out: np.ndarray
) -> None:
    """When, in what baskets and by whom all customers buy it."""
    hour = as_of % SECONDS_PER_DAY * HOURS // SECONDS_PER_DAY
    weekday = as_of // SECONDS_PER_DAY % 7
    if own != ABSENT:
        out[A_HOUR] = skus.hours[own, hour]
        out[A_WEEKDAY] = skus.weekdays[own, weekday]
        out[A_LINES] = skus.facts[own, LINES]
        out[A_TRIAL] = skus.facts[own, TRIAL]
        out[A_OF_TYPE] = skus.facts[own, OF_PARENT]
        out[A_REACH] = skus.facts[own, BUYERS] / skus.totals[ALL_CUSTOMERS]
    if own_type != ABSENT:
        out[A_TYPE_HOUR] = types.hours[own_type, hour]
        out[A_TYPE_WEEKDAY] = types.weekdays[own_type, weekday]
        out[A_TYPE_LINES] = types.facts[own_type, LINES]
        out[A_TYPE_OF_SECTION] = types.facts[own_type, OF_PARENT]
        out[A_TYPE_REACH] = types.facts[own_type, BUYERS] / types.totals[ALL_CUSTOMERS]
        out[A_TYPE_TRIAL] = types.facts[own_type, TRIAL]
        out[A_TYPE_BASKETS] = types.facts[own_type, BASKETS] / types.totals[ALL_BASKETS]


@njit(cache=True, nogil=True)
def weigh_types(history: History, types: AffinityTables) -> tuple[np.ndarray, np.ndarray]:
    """By row of `types`: her recent purchases as shares of her recent shopping days; her purchases in days."""
    weights = np.zeros(types.names.shape[0])
    days = np.zeros(types.names.shape[0])
    total = np.sum(history.quarter)
    for r in range(history.run_types.shape[0]):
        row = find(types.keys, types.rows, history.run_types[r])
        if row != ABSENT and total > 0:
            weights[row] += history.runs[r, RUN_WEIGHT] / total
            days[row] += history.runs[r, RUN_DAYS]
    return weights, days


@njit(cache=True, nogil=True)
def taste_of_items(history: History, skus: AffinityTables) -> np.ndarray:
    """Where she lies in the space of tastes, by the items she bought."""
    return place_taste(
        skus, find_all(skus.keys, skus.rows, history.run_skus), history.runs[:, RUN_DAYS].copy()
    )


@njit(cache=True, nogil=True)
def place_taste(level: AffinityTables, rows: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Where she lies in the space of tastes, by the days on which she bought each row; `ABSENT` rows tell nothing."""
    taste = np.zeros(level.vectors.shape[1])
    squares = 0.0
    for i in range(rows.shape[0]):
        if rows[i] != ABSENT and days[i] > 0:
            weight = math.log1p(days[i]) * level.facts[rows[i], RARITY]
            squares += weight * weight
            for d in range(taste.shape[0]):  # an array expression here would allocate once an item
                taste[d] += weight * level.vectors[rows[i], d]
    return taste / math.sqrt(squares) if squares > 0 else taste


@njit(cache=True, nogil=True)
def type_affinity(types: AffinityTables, own: int, weights: np.ndarray) -> float:
    """How much the types she buys, so weighted (see `weigh_types`), go with the row."""
    score = 0.0
    for i in range(types.starts[own], types.starts[own + 1]):
        other = types.neighbours[i]
        if weights[other] > 0:
            score += weights[other] * cosine(types, own, other, types.together[i])
    return score


@njit(cache=True, nogil=True)
def history_affinity(history: History, skus: AffinityTables, own: int) -> float:
    """How much what she bought of late goes with the row."""
    total = np.sum(history.quarter)
    score = 0.0
    for i in range(skus.starts[own], skus.starts[own + 1]):
        other = skus.neighbours[i]
        run = run_of(history, skus.names[other])
        if run >= 0 and total > 0:
            score += history.runs[run, RUN_WEIGHT] / total * cosine(skus, own, other, skus.together[i])
    return score


@njit(cache=True, nogil=True)
def write_basket(
    skus: AffinityTables,
    types: AffinityTables,
    own: int,
    own_type: int,
    basket_rows: np.ndarray,
    basket_type_rows: np.ndarray,
    out: np.ndarray,
) -> None:
    """How much the basket so far, as rows of both levels, goes with the item."""
    if own != ABSENT:
        out[A_BASKET] = 0.0
        out[A_BASKET_BEST] = 0.0
        for other in basket_rows:
            if other != ABSENT and other != own:
                score = cosine(skus, own, other, pair_count(skus, own, other))
                out[A_BASKET] += score
                out[A_BASKET_BEST] = max(out[A_BASKET_BEST], score)
    if own_type != ABSENT:
        total = 0.0
        count = 0
        best = -math.inf
        for other in basket_type_rows:
            if other != ABSENT and other != own_type:
                score = lift(types, own_type, other, pair_count(types, own_type, other))
                total += score
                count += 1
                best = max(best, score)
        if count > 0:
            out[A_BASKET_LIFT] = total / count
            out[A_BASKET_LIFT_BEST] = best
