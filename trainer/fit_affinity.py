"""Fits `twin_store.affinity`: what shares baskets, what is bought again, when and where. All counting."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numba import njit

from trainer.fit_taste import fit_taste
from trainer.tasks.history import History
from trainer.tasks.replay import keys_of
from twin_store.affinity import (
    BASKETS,
    BUYERS,
    EVERYTHING,
    FACTS,
    HOURS,
    LINES,
    OF_PARENT,
    RARITY,
    REBUY_DAYS,
    REBUY_RATE,
    TRIAL,
    Affinity,
    AffinityLevel,
    StoreTables,
)
from twin_store.catalogue import UNKNOWN, Catalogue
from twin_store.key_index import ABSENT
from twin_store.market import listing_key
from twin_store.messages.codec import SECONDS_PER_DAY

BASKETS_MIN = 5  # rarer skus have no row
TOGETHER_MIN = 2
NEIGHBOURS_MAX = {"skus": 64, "types": 512}
REBUY_HORIZON_DAYS = 56
LATE_DAYS = 91  # what is sold "of late"
CLOCK_PRIOR = 20.0  # lines at everybody's hours and weekdays that a product starts from
SIZE_PRIOR = 10.0  # lines in baskets of mean size, likewise
TRIAL_PRIOR = 5.0  # purchases, half of them first ones, likewise
STORE_LINES_MIN = 2  # of a sku in a store; types are kept from the first line on
PRIOR_PURCHASES = 5.0  # a product's rate starts from the average as if this many purchases had shown it


@dataclass(frozen=True)
class Purchases:
    """Sales as integers, in order of time: who bought what when, in which basket."""

    customers: np.ndarray
    baskets: np.ndarray
    days: np.ndarray
    seconds: np.ndarray
    skus: np.ndarray
    types: np.ndarray
    sections: np.ndarray
    stores: np.ndarray

    @classmethod
    def of(cls, history: History, catalogue: Catalogue) -> "Purchases":
        """The sale lines of a history; `skus`, `types`, `sections` and `stores` are keys."""
        sold = history.lines.filter((pl.col("kind") == "sale") & pl.col("sku").is_not_null())
        skus = keys_of(sold["sku"])
        rows = catalogue.rows_of(skus)
        known = rows != ABSENT
        types, sections = np.full((2, len(skus)), UNKNOWN, dtype=np.int64)
        types[known] = catalogue.tables().item_type[rows[known]]
        sections[known] = catalogue.tables().section[rows[known]]
        seconds = sold["second"].to_numpy()
        return cls(
            sold["customer_id"].rank("dense").to_numpy().astype(np.int64),
            sold.select(pl.struct("customer_id", "transaction_id").rank("dense"))
            .to_series()
            .to_numpy()
            .astype(np.int64),
            seconds // SECONDS_PER_DAY,
            seconds,
            skus,
            types,
            sections,
            keys_of(sold["store_id"]),
        )

    def before(self, second: int) -> "Purchases":
        """Those before a moment."""
        count = int(np.searchsorted(self.seconds, second))
        return Purchases(*(getattr(self, name)[:count] for name in self.__dataclass_fields__))


def fit_affinity(purchases: Purchases, campaign_rates: dict[str, float] | None = None) -> Affinity:
    """The tables from these purchases alone."""
    return Affinity(
        _fit_level(purchases, purchases.skus, purchases.types, NEIGHBOURS_MAX["skus"]),
        _fit_level(purchases, purchases.types, purchases.sections, NEIGHBOURS_MAX["types"]),
        campaign_rates,
        _fit_stores(purchases),
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
    lines = _lines_of(purchases, keys, parents, names)
    _fill_baskets(lines, facts)
    hours, weekdays = (
        _lifts(lines, column, columns) for column, columns in (("hour", HOURS), ("weekday", 7))
    )
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
    held = np.isin(keys, names)
    rows = np.searchsorted(names, keys[held])
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


def _lines_of(purchases: Purchases, keys: np.ndarray, parents: np.ndarray, names: np.ndarray) -> pl.DataFrame:
    """Every line with a row of these names, -1 for none: when it was, in what basket, whether it was a first one."""
    if not len(keys):
        return pl.DataFrame()
    places = np.minimum(np.searchsorted(names, keys), max(len(names) - 1, 0))
    rows = np.where(names[places] == keys, places, -1) if len(names) else np.full(len(keys), -1)
    hour = purchases.seconds % SECONDS_PER_DAY * HOURS // SECONDS_PER_DAY
    frame = pl.DataFrame(
        {
            "row": rows,
            "parent": parents,
            "customer": purchases.customers,
            "basket": purchases.baskets,
            "second": purchases.seconds,
            "hour": hour,
            "weekday": purchases.days % 7,
        }
    )
    late = pl.col("second") > pl.col("second").max() - LATE_DAYS * SECONDS_PER_DAY
    return frame.with_columns(
        pl.len().over("basket").log().alias("size"),
        (pl.col("second") == pl.col("second").min().over("customer", "row")).alias("first"),
        late.alias("late"),
    )


def _fill_baskets(lines: pl.DataFrame, facts: np.ndarray) -> None:
    """The size of the baskets with each row; of late, its share of first purchases and of what its parent sold."""
    if lines.is_empty() or not len(facts):
        return
    rows, size, first, late = (lines[name].to_numpy() for name in ("row", "size", "first", "late"))
    _, parents = np.unique(lines["parent"].to_numpy(), return_inverse=True)
    held = rows >= 0
    n = len(facts)
    count, total = np.bincount(rows[held], minlength=n), np.bincount(rows[held], size[held], minlength=n)
    facts[:, LINES] = (total + SIZE_PRIOR * size.mean()) / (count + SIZE_PRIOR)
    sold = np.bincount(rows[held & late], minlength=n)
    tried = np.bincount(rows[held & late & first], minlength=n)
    facts[:, TRIAL] = (tried + TRIAL_PRIOR / 2) / (sold + TRIAL_PRIOR)
    of_parent = np.bincount(parents[late], minlength=int(parents.max()) + 1)
    parent = np.zeros(n, dtype=np.int64)
    parent[rows[held]] = parents[held]
    facts[:, OF_PARENT] = (sold + 0.5) / (of_parent[parent] + 1.0)


def _lifts(lines: pl.DataFrame, column: str, columns: int) -> np.ndarray:
    """By row, the log of how much oftener than all lines its lines are of each value of a column: [n, columns]."""
    if lines.is_empty():
        return np.zeros((0, columns))
    values, rows = lines[column].to_numpy(), lines["row"].to_numpy()
    usual = np.maximum(np.bincount(values, minlength=columns) / len(values), 1e-6)
    held = rows >= 0
    n = int(rows.max()) + 1
    counts = np.bincount(rows[held] * columns + values[held], minlength=n * columns).reshape(n, columns)
    shares = (counts + CLOCK_PRIOR * usual) / (counts.sum(axis=1, keepdims=True) + CLOCK_PRIOR)
    return np.asarray(np.log(shares / usual))


def _fit_stores(purchases: Purchases) -> StoreTables:
    """Lines by sku and store, type and store, and their sums."""
    sold = pl.DataFrame({"sku": purchases.skus, "type": purchases.types, "store": purchases.stores})
    everything = pl.lit(EVERYTHING, dtype=pl.Int64)
    parts = []
    for what, least in (("sku", STORE_LINES_MIN), ("type", 1)):
        counted = (
            sold.group_by(pl.col(what).alias("what"), "store").len("lines").filter(pl.col("what") != UNKNOWN)
        )
        parts.append(counted.filter(pl.col("lines") >= least))
        parts.append(counted.group_by("what", everything.alias("store")).agg(pl.col("lines").sum()))
    parts.append(sold.group_by(everything.alias("what"), "store").len("lines"))
    parts.append(sold.select(everything.alias("what"), everything.alias("store"), pl.len().alias("lines")))
    found = pl.concat([part.select("what", "store", pl.col("lines").cast(pl.Int64)) for part in parts])
    pairs = listing_key(found["what"].to_numpy(), found["store"].to_numpy())
    pairs, first = np.unique(pairs, return_index=True)
    return StoreTables(pairs, found["lines"].to_numpy()[first])


def _day_counts(
    purchases: Purchases, keys: np.ndarray, names: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Customer, row and on how many days she bought it; a type's days are those of its skus, added up.

    That is how the evidence counts, which sees a twin's skus one by one.
    """
    held = np.isin(keys, names)
    frame = pl.DataFrame(
        {
            "customer": purchases.customers[held],
            "row": np.searchsorted(names, keys[held]),
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
