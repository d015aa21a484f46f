"""Fits how products are used: when, in what baskets, by whom first, in which stores. All counting."""

import numpy as np
import polars as pl

from trainer.purchases import Purchases, rows_among
from twin_store.affinity import EVERYTHING, HOURS, LINES, OF_PARENT, TRIAL, StoreTables
from twin_store.catalogue import UNKNOWN
from twin_store.market import listing_key
from twin_store.messages.codec import SECONDS_PER_DAY

LATE_DAYS = 91  # what is sold "of late"
CLOCK_PRIOR = 20.0  # lines at everybody's hours and weekdays that a product starts from
SIZE_PRIOR = 10.0  # lines in baskets of mean size, likewise
TRIAL_PRIOR = 5.0  # purchases, half of them first ones, likewise
STORE_LINES_MIN = 2  # of a sku in a store; types are kept from the first line on


def fit_usage(
    purchases: Purchases, keys: np.ndarray, parents: np.ndarray, names: np.ndarray, facts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`hours` and `weekdays` of one level (`AffinityTables`); its facts LINES, TRIAL and OF_PARENT are filled in.

    Args:
        keys, parents: of each purchase, its row's name and that of the level above.
        names: [n] ascending.
        facts: [n, FACTS].
    """
    lines = _lines_of(purchases, keys, parents, names)
    _fill_baskets(lines, facts)
    return _lifts(lines, "hour", HOURS, len(names)), _lifts(lines, "weekday", 7, len(names))


def _lines_of(purchases: Purchases, keys: np.ndarray, parents: np.ndarray, names: np.ndarray) -> pl.DataFrame:
    """Every line with its row among these names, or ABSENT: when it was, in what basket, whether it was a first one."""
    if not len(keys):
        return pl.DataFrame()
    hour = purchases.seconds % SECONDS_PER_DAY * HOURS // SECONDS_PER_DAY
    frame = pl.DataFrame(
        {
            "row": rows_among(names, keys),
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


def _lifts(lines: pl.DataFrame, column: str, columns: int, n: int) -> np.ndarray:
    """By row, the log of how much oftener than all lines its lines are of each value of a column: [n, columns]."""
    if lines.is_empty():
        return np.zeros((n, columns))
    values, rows = lines[column].to_numpy(), lines["row"].to_numpy()
    usual = np.maximum(np.bincount(values, minlength=columns) / len(values), 1e-6)
    held = rows >= 0
    counts = np.bincount(rows[held] * columns + values[held], minlength=n * columns).reshape(n, columns)
    shares = (counts + CLOCK_PRIOR * usual) / (counts.sum(axis=1, keepdims=True) + CLOCK_PRIOR)
    return np.asarray(np.log(shares / usual))


def fit_stores(purchases: Purchases) -> StoreTables:
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
