"""What is known up to a date: receipts, catalogue and promotions from the lake, in inside units."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import numpy as np
import polars as pl

from trainer.tasks.shelves import SHELF_KINDS, Shelf, Shelves
from twin_store.lake import Lake
from twin_store.messages.codec import FIRST_MONDAY, instant_of
from twin_store.symbols import KeyMemo

LINE_SCHEMA: dict[str, Any] = {
    "customer_id": pl.String,
    "transaction_id": pl.String,
    "kind": pl.String,
    "second": pl.Int64,
    "store_id": pl.String,
    "channel": pl.String,
    "original_transaction_id": pl.String,
    "sku": pl.String,
    "units": pl.Int64,
    "net": pl.Int64,
    "discount": pl.Int64,
    "coupon": pl.Int64,
    "coupon_ids": pl.List(pl.String),
    "on_promotion": pl.Boolean,
}
CAMPAIGN_SCHEMA: dict[str, Any] = {
    "campaign_id": pl.String,
    "campaign_type": pl.String,
    "starts": pl.Int64,
    "ends": pl.Int64,
    "audience": pl.List(pl.String),
    "coupon_ids": pl.List(pl.String),
    "voucher_skus": pl.List(pl.String),
}
PROMOTION_SPAN = timedelta(weeks=1)  # this much of the promotions is decoded at once


class NotEnoughHistoryError(ValueError):
    """The lake holds too little to learn from; the message says what and what to do."""


@dataclass(frozen=True)
class History:
    """Everything before `until`. Times are epoch seconds, units thousandths, money minor units.

    Attributes:
        lines: LINE_SCHEMA; a row a receipt line, a void without lines one row with a null sku. In order of time.
        catalogue: as `Lake.scan_catalog`.
        shelves: displays and mailers.
        campaigns: CAMPAIGN_SCHEMA; a row a campaign, with its coupons and what they cover.
        everybody: what all customers bought, where the lines are those of some.
    """

    lines: pl.DataFrame
    catalogue: pl.DataFrame
    shelves: Shelves
    campaigns: pl.DataFrame
    until: int
    currency: str = "USD"
    everybody: "Everybody | None" = None

    @classmethod
    def from_lake(
        cls,
        lake: Lake,
        until: datetime,
        shelves_from: datetime,
        progress: Callable[[str], None] = lambda line: None,
        bucket: int | None = None,
    ) -> Self:
        """Load what happened before `until`; of displays and mailers those from `shelves_from` on.

        Args:
            bucket: load the receipts of one of the lake's buckets of customers alone, and of all others only what
                they add up to.

        Raises:
            NotEnoughHistoryError: if there is no receipt before `until`.
        """
        lines = _load_lines(lake, until, bucket)
        if lines.is_empty():
            raise NotEnoughHistoryError(
                f"the lake at {lake.log.storage.url} holds no receipts before {until.isoformat()}: "
                "replay or ingest some first, or choose a later date"
            )
        progress(f"{lines.height:,} receipt lines")
        shelves, campaigns = _load_promotions(lake, until, shelves_from)
        progress(f"{len(shelves):,} displays and mailers, {campaigns.height} campaigns")
        catalogue = lake.scan_catalog(until).collect()
        everybody = None if bucket is None else Everybody.of(lake, until)
        end = int(until.timestamp())
        return cls(lines, catalogue, Shelves(shelves), campaigns, end, lake.format.currency, everybody)

    def weekly(self) -> pl.DataFrame:
        """What each product sold by week (`Market.from_weeks`, with `sku` in place of its key).

        What came back later is not taken out: a product that was returned had been chosen.
        """
        return _weekly(self.lines.lazy()).collect() if self.everybody is None else self.everybody.weekly

    def listed(self) -> pl.DataFrame:
        """Which store first sold which product in which week: `sku`, `store_id`, `week`."""
        return _listed(self.lines.lazy()).collect() if self.everybody is None else self.everybody.listed


@dataclass(frozen=True)
class Everybody:
    """What the receipts of all customers add up to; see `History.weekly` and `History.listed`."""

    weekly: pl.DataFrame
    listed: pl.DataFrame

    @classmethod
    def of(cls, lake: Lake, until: datetime) -> Self:
        """Streamed from the lake: no more than the sums is held."""
        lines = _lines(lake, until, None)
        return cls(_weekly(lines).collect(engine="streaming"), _listed(lines).collect(engine="streaming"))


_WEEK = (pl.col("second") // 86_400 - FIRST_MONDAY) // 7
_SOLD = (pl.col("kind") == "sale") & pl.col("sku").is_not_null()


def _weekly(lines: pl.LazyFrame) -> pl.LazyFrame:
    on_deal = (pl.col("discount") > 0) | pl.col("on_promotion")
    return (
        lines.filter(_SOLD)
        .group_by("sku", _WEEK.alias("week"))
        .agg(
            pl.len().cast(pl.Int64).alias("lines"),
            pl.col("units").sum(),
            pl.col("net").sum(),
            on_deal.sum().cast(pl.Int64).alias("deal_lines"),
        )
    )


def _listed(lines: pl.LazyFrame) -> pl.LazyFrame:
    sold = lines.filter(_SOLD & pl.col("store_id").is_not_null())
    return sold.group_by("sku", "store_id").agg(_WEEK.min().alias("week"))


def after_the_newest(lake: Lake) -> datetime:
    """The second after the newest receipt. Raises `NotEnoughHistoryError` if there is none."""
    newest = lake.scan_transactions().select(pl.col("occurred_at").max()).collect().item()
    if newest is None:
        raise NotEnoughHistoryError(
            f"the lake at {lake.log.storage.url} holds no receipts: replay or ingest some first"
        )
    return datetime.fromtimestamp(int(newest.timestamp()) + 1, UTC)


def _load_lines(lake: Lake, until: datetime, bucket: int | None) -> pl.DataFrame:
    return _lines(lake, until, bucket).sort("second", "transaction_id", maintain_order=True).collect()


def _lines(lake: Lake, until: datetime, bucket: int | None) -> pl.LazyFrame:
    receipt = ("customer_id", "transaction_id", "kind", "store_id", "channel", "original_transaction_id")
    source = ("topic", "partition", "offset")
    second = pl.col("occurred_at").dt.epoch("s").alias("second")
    sold = lake.scan_lines(until=until, bucket=bucket).select(
        *source,
        *receipt,
        second,
        "sku",
        pl.col("quantity_thousandths").alias("units"),
        pl.col("net_minor").alias("net"),
        pl.col("discount_minor").fill_null(0).alias("discount"),
        pl.col("coupon_discount_minor").fill_null(0).alias("coupon"),
        "coupon_ids",
        (pl.col("promotion_ids").list.len() > 0).fill_null(False).alias("on_promotion"),
    )
    bare = lake.scan_transactions(until=until, bucket=bucket).filter(pl.col("lines").list.len() == 0)
    lines = pl.concat([sold, bare.select(*source, *receipt, second)], how="diagonal")
    # A record that its producer sent twice is twice in the lake: the first of a transaction's records counts.
    # One customer's records are all in one partition, so the offset tells which was first.
    first = pl.col("offset") == pl.col("offset").min().over("customer_id", "transaction_id")
    return lines.filter(first).select(pl.col(name).cast(kind) for name, kind in LINE_SCHEMA.items())


def _load_promotions(lake: Lake, until: datetime, shelves_from: datetime) -> tuple[list[Shelf], pl.DataFrame]:
    keys = KeyMemo()
    shelves: list[Shelf] = []
    others: list[pl.DataFrame] = []
    skus = pl.col("items").list.eval(pl.element().struct.field("sku")).alias("skus")
    for start, end in _spans(lake, until):
        found = lake.scan_promotions(end - timedelta(microseconds=1), start).with_columns(
            pl.col("starts_at").dt.epoch("s").alias("starts"), pl.col("ends_at").dt.epoch("s").alias("ends")
        )
        others.append(
            found.filter(pl.col("kind").is_in(("campaign", "coupon")))
            .select(
                "promotion_id", "kind", "campaign_id", "campaign_type", "starts", "ends", "audience", skus
            )
            .collect()
        )
        if end > shelves_from:
            on_shelf = found.filter(pl.col("kind").is_in(SHELF_KINDS))
            rows = on_shelf.select("kind", "store_id", "starts", "ends", skus).collect()
            shelves += [
                Shelf(
                    kind, store, starts, ends, np.unique(np.array([keys[sku] for sku in on], dtype=np.int64))
                )
                for kind, store, starts, ends, on in rows.iter_rows()
            ]
    return shelves, _campaigns(others)


def _spans(lake: Lake, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Spans of time that together hold every promotion that started before `until`."""
    days = [file.day for file in lake.state.files if file.table == "promotions"]
    if not days:
        return
    start = datetime.fromtimestamp(min(days) * 86_400, UTC)
    while start < until:
        end = min(start + PROMOTION_SPAN, until)
        yield start, end
        start = end


def _campaigns(frames: list[pl.DataFrame]) -> pl.DataFrame:
    if not frames:
        return pl.DataFrame(schema=CAMPAIGN_SCHEMA)
    found = pl.concat(frames)
    coupons = (
        found.filter((pl.col("kind") == "coupon") & pl.col("campaign_id").is_not_null())
        .group_by("campaign_id")
        .agg(
            pl.col("promotion_id").alias("coupon_ids"),
            pl.col("skus").list.explode().unique().sort().alias("voucher_skus"),
        )
    )
    return (
        found.filter(pl.col("kind") == "campaign")
        .with_columns(pl.coalesce("campaign_id", "promotion_id"))
        .join(coupons, on="campaign_id", how="left")
        .sort("starts", "campaign_id")
        .select(pl.col(name).cast(kind) for name, kind in CAMPAIGN_SCHEMA.items())
    )


def day_of(second: int) -> str:
    """The UTC date of epoch seconds, for people."""
    return instant_of(second).date().isoformat()
