"""Fits `twin_store.affinity`: what shares baskets, what is bought again, when and where. All counting."""

import numpy as np
import polars as pl
from numba import njit

from trainer.fit_taste import fit_taste
from trainer.fit_usage import fit_stores, fit_usage
from trainer.purchases import Purchases, rows_among
from twin_store.affinity import (
    BASKETS,
    BUYERS,
    FACTS,
    RARITY,
    REBUY_DAYS,
    REBUY_RATE,
    Affinity,
    AffinityLevel,
)
from twin_store.catalogue import UNKNOWN
from twin_store.key_index import ABSENT

BASKETS_MIN = 5  # rarer skus have no row
TOGETHER_MIN = 2
NEIGHBOURS_MAX = {"skus": 64, "types": 512}
REBUY_HORIZON_DAYS = 56
PRIOR_PURCHASES = 5.0  # a product's rate starts from the average as if this many purchases had shown it


def fit_affinity(purchases: Purchases, campaign_rates: dict[str, float] | None = None) -> Affinity:
    """The tables from these purchases alone."""
    return Affinity(
        _fit_level(purchases, purchases.skus, purchases.types, NEIGHBOURS_MAX["skus"]),
        _fit_level(purchases, purchases.types, purchases.sections, NEIGHBOURS_MAX["types"]),
        campaign_rates,
        fit_stores(purchases),
    )


def _fit_level(
    purchases: Purchases, keys: np.ndarray, parents: np.ndarray, neighbours_max: int
) -> AffinityLevel:
    held = keys != UNKNOWN
    names, rows = np.unique(keys[held], return_inverse=True)
    # One integer a (basket, row): distinct pairs in order of basket.
    pairs = np.unique(purchases.baskets[held] * len(names) + rows)
    baskets, rows = np.divmod(pairs, max(len(names), 1))
    counts = np.bincount(rows, minlength=len(names))
    keep = counts >= BASKETS_MIN
    rows = np.where(keep, np.cumsum(keep) - 1, ABSENT)[rows]
    kept = rows != ABSENT
    names, counts = names[keep], counts[keep]
    starts, neighbours, together = _count_pairs(baskets[kept], rows[kept], counts, neighbours_max)
    facts = np.zeros((len(names), FACTS))
    facts[:, BASKETS] = counts
    bought = _distinct_days(purchases, keys, names)
    _fill_rebuys(bought, facts)
    hours, weekdays = fit_usage(purchases, keys, parents, names, facts)
    vectors, facts[:, RARITY] = fit_taste(*_day_counts(purchases, keys, names), len(names))
    totals = np.array(
        [len(np.unique(purchases.baskets)), len(np.unique(purchases.customers))], dtype=np.int64
    )
    return AffinityLevel(names, starts, neighbours, together, facts, vectors, hours, weekdays, totals)


def _count_pairs(
    baskets: np.ndarray, rows: np.ndarray, counts: np.ndarray, neighbours_max: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours of each row with the most similar kept; input sorted by basket."""
    _, basket_starts = np.unique(baskets, return_index=True)
    basket_ends = np.append(basket_starts[1:], len(baskets))
    basket_of = np.repeat(np.arange(len(basket_starts)), basket_ends - basket_starts)
    by_row = np.argsort(rows, kind="stable")
    row_starts = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))
    return _collect_pairs(
        rows, basket_starts, basket_ends, basket_of[by_row], row_starts, counts, neighbours_max
    )


@njit(cache=True, nogil=True)
def _collect_pairs(
    rows: np.ndarray,
    basket_starts: np.ndarray,
    basket_ends: np.ndarray,
    row_baskets: np.ndarray,
    row_starts: np.ndarray,
    counts: np.ndarray,
    neighbours_max: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = counts.shape[0]
    starts = np.zeros(n + 1, dtype=np.int64)
    neighbours = np.empty(n * min(neighbours_max, n), dtype=np.int64)
    together = np.empty(neighbours.shape[0], dtype=np.int64)
    seen = np.zeros(n, dtype=np.int64)
    touched = np.empty(n, dtype=np.int64)
    used = 0
    for row in range(n):
        found = 0
        for i in range(row_starts[row], row_starts[row + 1]):
            basket = row_baskets[i]
            for j in range(basket_starts[basket], basket_ends[basket]):
                other = rows[j]
                if other == row:
                    continue
                if seen[other] == 0:
                    touched[found] = other
                    found += 1
                seen[other] += 1
        chosen = _most_similar(touched[:found], seen, counts, neighbours_max)
        for other in np.sort(chosen):
            neighbours[used] = other
            together[used] = seen[other]
            used += 1
        starts[row + 1] = used
        for i in range(found):
            seen[touched[i]] = 0
    return starts, neighbours[:used].copy(), together[:used].copy()


@njit(cache=True, nogil=True)
def _most_similar(touched: np.ndarray, seen: np.ndarray, counts: np.ndarray, most: int) -> np.ndarray:
    """Of the rows that were met often enough, those with the greatest cosine; ties by row number."""
    often = np.sort(touched[seen[touched] >= TOGETHER_MIN])
    if often.shape[0] <= most:
        return often
    scores = seen[often] / np.sqrt(counts[often])
    return often[np.argsort(-scores, kind="mergesort")[:most]]


def _distinct_days(purchases: Purchases, keys: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Distinct (row, customer, day) of the names, in that order: int64 [n, 3]; days count from the first."""
    rows = rows_among(names, keys)
    held = rows != ABSENT
    rows = rows[held]
    first_day = int(purchases.days.min())
    days = int(purchases.days.max()) - first_day + 1
    customers = int(purchases.customers.max()) + 1
    packed = np.unique(
        (rows * customers + purchases.customers[held]) * days + purchases.days[held] - first_day
    )
    return np.stack((packed // days // customers, packed // days % customers, packed % days), axis=1)


def _fill_rebuys(bought: np.ndarray, facts: np.ndarray) -> None:
    """How often and after how long each row is bought again by the same customer; who bought it at all."""
    if not len(bought):
        return
    same = (bought[1:, 0] == bought[:-1, 0]) & (bought[1:, 1] == bought[:-1, 1])
    gaps = np.where(np.append(same, False), np.append(np.diff(bought[:, 2]), 0), 2 * REBUY_HORIZON_DAYS)
    has_time = bought[:, 2] <= bought[:, 2].max() - REBUY_HORIZON_DAYS
    again = gaps <= REBUY_HORIZON_DAYS
    n = len(facts)
    tried = np.bincount(bought[has_time, 0], minlength=n)
    repeated = np.bincount(bought[has_time & again, 0], minlength=n)
    average = repeated.sum() / max(tried.sum(), 1)
    facts[:, REBUY_RATE] = (repeated + PRIOR_PURCHASES * average) / (tried + PRIOR_PURCHASES)
    facts[:, BUYERS] = np.bincount(bought[np.append(True, ~same), 0], minlength=n)
    facts[:, REBUY_DAYS] = _medians(bought[again, 0], gaps[again], n)


def _day_counts(
    purchases: Purchases, keys: np.ndarray, names: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Customer, row and on how many days she bought it; a type's days are those of its skus, added up.

    That is how the evidence counts, which sees a twin's skus one by one.
    """
    rows = rows_among(names, keys)
    held = rows != ABSENT
    frame = pl.DataFrame(
        {
            "customer": purchases.customers[held],
            "row": rows[held],
            "sku": purchases.skus[held],
            "day": purchases.days[held],
        }
    )
    counted = frame.unique().group_by("customer", "row").len().sort("customer", "row")
    return tuple(counted[name].to_numpy().astype(np.int64) for name in ("customer", "row", "len"))  # type: ignore[return-value]


def _medians(rows: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Median value by row; rows without any get the median of all."""
    out = np.full(n, float(np.median(values)) if len(values) else float(REBUY_HORIZON_DAYS))
    frame = pl.DataFrame({"row": rows, "value": values}).group_by("row").agg(pl.col("value").median())
    out[frame["row"].to_numpy()] = frame["value"].to_numpy()
    return out
