"""Each customer's receipts, folded up to the moment of each case by the hot lane's own fold."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from trainer.tasks.cases import Case
from trainer.tasks.history import History
from twin_store.dna.layout import (
    EVENT_COLUMNS,
    EVENT_END,
    EVENT_KIND,
    EVENT_ORIGINAL,
    EVENT_SECOND,
    EVENT_START,
    EVENT_TXN,
    EVENT_VISIT,
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
from twin_store.dna.twin import Twin, fold_receipts
from twin_store.symbols import key_of, visit_name


def keys_of(texts: pl.Series) -> np.ndarray:
    """The 64-bit key of each string, 0 for null: int64 [n]."""
    distinct = texts.unique().drop_nulls()
    keys = pl.Series([key_of(text) for text in distinct.to_list()], dtype=pl.Int64)
    found = texts.replace_strict(distinct, keys, default=None, return_dtype=pl.Int64)
    return found.fill_null(0).to_numpy()


class Replay:
    """The receipts of a history as the fold takes them, by customer in order of time."""

    def __init__(self, history: History) -> None:
        frame = history.lines.sort("customer_id", "second", "transaction_id", maintain_order=True)
        self._lines = _line_columns(frame)
        rank = pl.struct("customer_id", "transaction_id").rle_id()
        receipts = frame.group_by(rank.alias("receipt"), maintain_order=True).agg(
            pl.col("customer_id", "transaction_id", "kind", "second", "store_id", "channel").first(),
            pl.col("original_transaction_id").first(),
            pl.len().alias("count"),
        )
        self._events = _event_columns(receipts)
        self._bounds = _customer_bounds(receipts["customer_id"])

    def twins(self, cases: Sequence[Case], stale_days: int = 0) -> Iterator[tuple[int, Twin]]:
        """The index of each case with its twin, customer by customer, each customer's in order of time.

        Args:
            cases: in any order.
            stale_days: leave out what happened in the last days before each case: a twin that is behind.
        """
        order = sorted(range(len(cases)), key=lambda i: (cases[i].customer_id, cases[i].as_of))
        customer: str | None = None
        twin = Twin()
        at = end = 0
        for i in order:
            case = cases[i]
            if case.customer_id != customer:
                customer = case.customer_id
                twin = Twin()
                at, end = self._bounds.get(customer, (0, 0))
            seconds = self._events[at:end, EVENT_SECOND]
            count = int(np.searchsorted(seconds, case.as_of - 86_400 * stale_days, side="right"))
            if count:
                twin, _, _ = fold_receipts(twin, self._events[at : at + count], self._lines)
                at += count
            yield i, twin


def _line_columns(frame: pl.DataFrame) -> np.ndarray:
    lines = np.zeros((frame.height, LINE_COLUMNS), dtype=np.int64)
    lines[:, LINE_SKU] = keys_of(frame["sku"])
    columns = {
        M_LINES: pl.lit(1),
        M_UNITS: pl.col("units").fill_null(0),
        M_NET: pl.col("net").fill_null(0),
        M_DISCOUNT: pl.col("discount").fill_null(0),
        M_COUPON: pl.col("coupon").fill_null(0),
        M_DEAL_LINES: (pl.col("discount") > 0) | pl.col("on_promotion"),
        M_COUPON_LINES: (pl.col("coupon") > 0) | (pl.col("coupon_ids").list.len() > 0).fill_null(False),
        M_PRICED_LINES: pl.col("net").is_not_null(),
    }
    for column, expression in columns.items():
        values = frame.select(expression.cast(pl.Int64).fill_null(0).alias("value"))["value"]
        lines[:, LINE_MEASURE + column] = values.to_numpy()
    return lines


def _event_columns(receipts: pl.DataFrame) -> np.ndarray:
    events = np.zeros((receipts.height, EVENT_COLUMNS), dtype=np.int64)
    places = receipts.select("channel", "store_id").unique()
    names = [visit_name(channel, store) for channel, store in places.iter_rows()]
    visits = receipts.join(
        places.with_columns(pl.Series("visit", names)),
        on=["channel", "store_id"],
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )["visit"]
    events[:, EVENT_TXN] = keys_of(receipts["transaction_id"])
    events[:, EVENT_KIND] = receipts["kind"].replace_strict(KINDS, return_dtype=pl.Int64).to_numpy()
    events[:, EVENT_SECOND] = receipts["second"].to_numpy()
    events[:, EVENT_VISIT] = keys_of(visits)
    events[:, EVENT_ORIGINAL] = keys_of(receipts["original_transaction_id"])
    ends = np.cumsum(receipts["count"].to_numpy())
    events[:, EVENT_END] = ends
    events[1:, EVENT_START] = ends[:-1]
    return events


def _customer_bounds(customers: pl.Series) -> dict[str, tuple[int, int]]:
    """Where each customer's events stand; customers stand together."""
    runs = customers.rle()
    bounds: dict[str, tuple[int, int]] = {}
    at = 0
    for length, customer in zip(runs.struct.field("len"), runs.struct.field("value"), strict=True):
        bounds[customer] = (at, at + length)
        at += length
    return bounds
