"""Reading the lake: lazy frames of its tables, as of a moment, and one customer's events in order.

A `Lake` sees the lake as it was when it was opened or last refreshed, whatever is written or compacted since.
Rows come in no particular order; `topic`, `partition` and `offset` say where each came from. Records that a
producer sent twice are two rows: whoever folds them counts a transaction id once.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from twin_store.lake.layout import (
    CATALOG,
    CLICKS,
    CUSTOMERS,
    ERASURES,
    OUTCOMES,
    PREDICTIONS,
    PROMOTIONS,
    TRANSACTIONS,
    Table,
)
from twin_store.lake.manifest import LakeFormat, LakeLog, LakeState, Source
from twin_store.lake.minor import minor_units, thousandths
from twin_store.lake.scan import Selection, decoded, latest, scan
from twin_store.lake.storage import Storage
from twin_store.messages import Message
from twin_store.messages.codec import decode, minor_digits

_EMPTY = LakeFormat(buckets=1, currency="USD")
_MONEY = ("unit_price", "discount", "coupon_discount", "net")


@dataclass(frozen=True)
class LakeEvent:
    """One Kafka record of a customer, decoded."""

    topic: str
    partition: int
    offset: int
    received_at: datetime
    message: Message


class Lake:
    """One lake, read-only. A lake that nobody has written to yet is empty."""

    def __init__(self, url: str) -> None:
        """`url` is a folder or any fsspec URL. Raises `LakeError` if it cannot be read."""
        self.log = LakeLog(Storage(url))
        self._state = self.log.load()

    def refresh(self) -> None:
        """See what was committed since."""
        self._state = self.log.load()

    @property
    def state(self) -> LakeState:
        """Files, reaches and erasures as this reader sees them."""
        return self._state

    @property
    def format(self) -> LakeFormat:
        """Buckets and currency."""
        return self.log.format() or _EMPTY

    def positions(self) -> dict[Source, int]:
        """Per Kafka topic (by its full name) and partition, the next offset that is not in the lake."""
        return {source: reach.end for source, reach in self._state.reaches.items()}

    def scan(self, table: Table, selection: Selection) -> pl.LazyFrame:
        """The selected rows of any table, as they are stored."""
        return scan(self.log.storage, self._state, table, selection, self.format.buckets)

    def scan_transactions(
        self,
        from_: datetime | None = None,
        until: datetime | None = None,
        customers: Collection[str] | None = None,
        bucket: int | None = None,
    ) -> pl.LazyFrame:
        """Receipts, returns and voids with `from_` <= occurred_at < `until`, of some customers or one bucket.

        A row a record, `lines` a list of structs, money as it was sent.
        """
        return self.scan(TRANSACTIONS, Selection(from_, until, customers, bucket))

    def scan_lines(
        self,
        from_: datetime | None = None,
        until: datetime | None = None,
        customers: Collection[str] | None = None,
        bucket: int | None = None,
    ) -> pl.LazyFrame:
        """The lines of `scan_transactions`, a row a line; `line` counts from 0 within its record.

        Integers as inside the twins: `quantity_thousandths`; `unit_price_minor`, `discount_minor`,
        `coupon_discount_minor` and `net_minor` in minor units, null where none was sent. A void without
        lines has no row.
        """
        digits = minor_digits(self.format.currency)
        frame = self.scan_transactions(from_, until, customers, bucket).filter(pl.col("lines").list.len() > 0)
        frame = frame.with_columns(pl.int_ranges(pl.col("lines").list.len()).alias("line"))
        frame = frame.explode("lines", "line").unnest("lines")
        return frame.with_columns(
            thousandths(pl.col("quantity")).alias("quantity_thousandths"),
            *(minor_units(pl.col(name), digits).alias(f"{name}_minor") for name in _MONEY),
        ).drop("quantity", *_MONEY)

    def scan_clicks(
        self,
        from_: datetime | None = None,
        until: datetime | None = None,
        customers: Collection[str] | None = None,
        bucket: int | None = None,
    ) -> pl.LazyFrame:
        """Clicks with `from_` <= occurred_at < `until`; `customers` may hold anonymous ids too."""
        return self.scan(CLICKS, Selection(from_, until, customers, bucket))

    def scan_customers(
        self, as_of: datetime | None = None, customers: Collection[str] | None = None
    ) -> pl.LazyFrame:
        """Each customer's record as it stood at `as_of` (now, if None); `demographics` is a JSON object's text."""
        frame = self.scan(CUSTOMERS, Selection(None, _after(as_of), customers))
        frame = decoded(latest(frame, CUSTOMERS, "customer_id"), CUSTOMERS)
        return frame.with_columns(pl.col("value").str.json_path_match("$.demographics").alias("demographics"))

    def scan_catalog(self, as_of: datetime | None = None) -> pl.LazyFrame:
        """Each product as it stood at `as_of` (now, if None), without those deleted by then."""
        frame = latest(self.scan(CATALOG, Selection(None, _after(as_of))), CATALOG, "sku")
        return decoded(frame.filter(pl.col("value").is_not_null()), CATALOG)

    def scan_promotions(self, as_of: datetime | None = None, from_: datetime | None = None) -> pl.LazyFrame:
        """Each promotion that had started at `as_of` (every one, if None), also those that had ended.

        With `from_`, only those that started then or later: a year of displays is too much to hold at once.
        """
        frame = self.scan(PROMOTIONS, Selection(from_, _after(as_of)))
        newest = frame.sort("topic", "partition", "offset")
        return decoded(newest.unique(subset="promotion_id", keep="last", maintain_order=True), PROMOTIONS)

    def scan_predictions(
        self,
        from_: datetime | None = None,
        until: datetime | None = None,
        customers: Collection[str] | None = None,
    ) -> pl.LazyFrame:
        """Answers with `from_` <= as_of < `until`; the whole message is in `value`."""
        return decoded(self.scan(PREDICTIONS, Selection(from_, until, customers)), PREDICTIONS)

    def scan_outcomes(
        self,
        from_: datetime | None = None,
        until: datetime | None = None,
        customers: Collection[str] | None = None,
    ) -> pl.LazyFrame:
        """What followed the answers with `from_` <= as_of < `until`; the whole message is in `value`."""
        return decoded(self.scan(OUTCOMES, Selection(from_, until, customers)), OUTCOMES)

    def iter_customer_events(self, customer: str) -> Iterator[LakeEvent]:
        """Her receipts, clicks, records and erasures in the order of topic, partition and offset.

        `customer` may be an anonymous id.
        """
        chosen = Selection(customers=[customer])
        found: list[tuple[Table, dict[str, Any]]] = []
        for table in (TRANSACTIONS, CLICKS, CUSTOMERS, ERASURES):
            found += [(table, row) for row in self.scan(table, chosen).collect().iter_rows(named=True)]
        found.sort(key=lambda item: (item[1]["topic"], item[1]["partition"], item[1]["offset"]))
        for table, row in found:
            yield LakeEvent(
                row["topic"], row["partition"], row["offset"], row["received_at"], _message(table, row)
            )


def _after(as_of: datetime | None) -> datetime | None:
    """The bound, itself excluded, that lets in what happened at `as_of`."""
    return None if as_of is None else as_of + timedelta(microseconds=1)


def _message(table: Table, row: dict[str, Any]) -> Message:
    if table.is_document:
        return decode(table.model, row["value"].encode())
    return table.model.model_validate(row)
