"""The lake's rows as the columns that the fold takes: the same integers as `columns` makes of the wire's JSON.

Everything is done a column at a time, and each distinct string is hashed once, so that a year of receipts takes
seconds. Rows come out customer by customer, each customer's in the order of Kafka, which is the order of the fold.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from twin_store.dna.layout import (
    ACTIONS,
    CLICK_COLUMNS,
    EVENT_COLUMNS,
    EVENT_END,
    EVENT_KIND,
    EVENT_ORIGINAL,
    EVENT_SECOND,
    EVENT_START,
    EVENT_TWIN,
    EVENT_TXN,
    EVENT_VISIT,
    K_ACTION,
    K_EVENT,
    K_QUANTITY,
    K_SECOND,
    K_SESSION,
    K_SKU,
    KINDS,
    LINE_COLUMNS,
    LINE_MEASURE,
    LINE_SKU,
    M_COUPON,
    M_COUPON_LINES,
    M_DEAL_LINES,
    M_DISCOUNT,
    M_LINES,
    M_NET,
    M_PRICED_LINES,
    M_UNITS,
)
from twin_store.lake.minor import minor_units, thousandths
from twin_store.messages.codec import minor_digits
from twin_store.symbols import key_of, visit_name

_PLACE = ("topic", "partition", "offset")


@dataclass(frozen=True)
class StoredReceipts:
    """Receipts, returns and voids as `ReceiptColumns` has them, customer by customer.

    Attributes:
        events: [n, EVENT_COLUMNS]; START and END index `lines`.
        lines: [m, LINE_COLUMNS].
        bounds: where each customer's events stand in `events`.
        symbols: strings by key, of every sku and visit.
    """

    events: np.ndarray
    lines: np.ndarray
    bounds: dict[str, tuple[int, int]]
    symbols: dict[int, str]


@dataclass(frozen=True)
class StoredClicks:
    """Clicks: rows [n, CLICK_COLUMNS], owner by owner; `bounds` and `symbols` as of `StoredReceipts`."""

    rows: np.ndarray
    bounds: dict[str, tuple[int, int]]
    symbols: dict[int, str]


def receipt_columns(frame: pl.DataFrame, currency: str) -> StoredReceipts:
    """Rows of `Lake.scan_transactions` as columns; of each customer all rows must be given."""
    frame = frame.sort("customer_id", *_PLACE)
    counts = frame["lines"].list.len().to_numpy().astype(np.int64)
    # An empty list would explode into a row of nulls.
    flat = frame.select("lines").filter(pl.col("lines").list.len() > 0).explode("lines").unnest("lines")
    lines, skus = _line_columns(flat, minor_digits(currency))
    visits = _visit_names(frame)
    events = np.zeros((frame.height, EVENT_COLUMNS), dtype=np.int64)
    bounds = _bounds(frame["customer_id"])
    events[:, EVENT_TWIN] = frame["customer_id"].rle_id().to_numpy()
    events[:, EVENT_TXN] = keys_of(frame["transaction_id"])
    events[:, EVENT_KIND] = frame["kind"].replace_strict(KINDS, return_dtype=pl.Int64).to_numpy()
    events[:, EVENT_SECOND] = frame["occurred_at"].dt.epoch("s").to_numpy()
    events[:, EVENT_VISIT] = keys_of(visits)
    events[:, EVENT_ORIGINAL] = keys_of(frame["original_transaction_id"])
    ends = np.cumsum(counts)
    events[:, EVENT_END] = ends
    events[1:, EVENT_START] = ends[:-1]
    return StoredReceipts(events, lines, bounds, _symbols(skus, visits))


def click_columns(frame: pl.DataFrame) -> StoredClicks:
    """Rows of `Lake.scan_clicks` as columns; of each owner all rows must be given."""
    frame = frame.with_columns(pl.coalesce("customer_id", "anonymous_id").alias("owner"))
    frame = frame.sort("owner", *_PLACE)
    rows = np.zeros((frame.height, CLICK_COLUMNS), dtype=np.int64)
    rows[:, K_EVENT] = keys_of(frame["event_id"])
    rows[:, K_SECOND] = frame["occurred_at"].dt.epoch("s").to_numpy()
    rows[:, K_SESSION] = keys_of(frame["session_id"])
    rows[:, K_ACTION] = frame["action"].replace_strict(ACTIONS, return_dtype=pl.Int64).to_numpy()
    rows[:, K_SKU] = keys_of(frame["sku"])
    rows[:, K_QUANTITY] = frame.select(thousandths(pl.col("quantity")))["quantity"].to_numpy()
    return StoredClicks(rows, _bounds(frame["owner"]), _symbols(frame["sku"]))


def keys_of(texts: pl.Series) -> np.ndarray:
    """The 64-bit key of each string, 0 for null: int64 [n]."""
    distinct = texts.unique().drop_nulls()
    keys = pl.Series([key_of(text) for text in distinct.to_list()], dtype=pl.Int64)
    found = texts.replace_strict(distinct, keys, default=None, return_dtype=pl.Int64)
    return found.fill_null(0).to_numpy()


def _line_columns(flat: pl.DataFrame, digits: int) -> tuple[np.ndarray, pl.Series]:
    lines = np.zeros((flat.height, LINE_COLUMNS), dtype=np.int64)
    measures = flat.select(
        thousandths(pl.col("quantity")).alias("units"),
        *(minor_units(pl.col(name), digits).alias(name) for name in ("net", "discount", "coupon_discount")),
        (pl.col("promotion_ids").list.len() > 0).alias("promoted"),
        (pl.col("coupon_ids").list.len() > 0).alias("couponed"),
    )
    columns = {
        M_LINES: pl.lit(1),
        M_UNITS: pl.col("units"),
        M_NET: pl.col("net"),
        M_DISCOUNT: pl.col("discount"),
        M_COUPON: pl.col("coupon_discount"),
        M_DEAL_LINES: (pl.col("discount") > 0) | pl.col("promoted"),
        M_COUPON_LINES: (pl.col("coupon_discount") > 0) | pl.col("couponed"),
        M_PRICED_LINES: pl.col("net").is_not_null(),
    }
    if flat.height:
        lines[:, LINE_SKU] = keys_of(flat["sku"])
        for column, expression in columns.items():
            values = measures.select(expression.cast(pl.Int64).fill_null(0).alias("value"))["value"]
            lines[:, LINE_MEASURE + column] = values.to_numpy()
    return lines, flat["sku"]


def _visit_names(frame: pl.DataFrame) -> pl.Series:
    places = frame.select("channel", "store_id").unique()
    names = [visit_name(channel, store) for channel, store in places.iter_rows()]
    named = places.with_columns(pl.Series("visit", names, dtype=pl.String))
    joined = frame.select("channel", "store_id").join(
        named, on=["channel", "store_id"], how="left", nulls_equal=True, maintain_order="left"
    )
    return joined["visit"]


def _bounds(owners: pl.Series) -> dict[str, tuple[int, int]]:
    """Where each owner's rows stand; owners stand together."""
    runs = owners.rle().struct.unnest()
    ends = np.cumsum(runs["len"].to_numpy().astype(np.int64)).tolist()
    starts = [0, *ends][:-1]
    return dict(zip(runs["value"].to_list(), zip(starts, ends, strict=True), strict=True))


def _symbols(*texts: pl.Series) -> dict[int, str]:
    distinct: Collection[str] = {text for some in texts for text in some.unique().drop_nulls().to_list()}
    return {key_of(text): text for text in distinct}
