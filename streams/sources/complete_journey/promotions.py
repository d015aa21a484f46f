"""Displays and mailers by week and store, coupons, and campaigns with their audience.

Displays and mailers hold 23 million items: they are built in columns, a week at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta

import polars as pl

from streams.sources.complete_journey.receipts import coupon_id
from streams.sources.complete_journey.tables import Tables, Window, instant, midnight, week_bounds
from streams.sources.json_columns import fill
from streams.sources.record import Record
from streams.topics import PROMOTIONS
from twin_store.messages import PromotedItem, Promotion

WEEKS = range(1, 54)
ITEMS_MAX = 5_000  # of a display or mailer message: at most 36 bytes each, so below 200 KB
KINDS = ("display", "mailer")


def campaign_records(tables: Tables, households: list[int] | None, window: Window) -> Iterator[Record]:
    """Campaigns, each followed by its coupons, when they start. Audiences name only the chosen households."""
    audience = tables.scan("campaigns")
    if households is not None:
        audience = audience.filter(pl.col("household_id").is_in(households))
    audiences = _lists(audience, "household_id", "campaign_id")
    coupons = tables.scan("coupons").with_columns(coupon_id().alias("coupon_id")).unique(maintain_order=True)
    skus = _lists(_in_catalogue(tables, coupons), "product_id", "campaign_id", "coupon_id")
    described = tables.scan("campaign_descriptions").sort("start_date", "campaign_id").collect()
    for campaign, kind, first_day, last_day in described.iter_rows():
        starts, ends = midnight(first_day.date()), midnight(last_day.date() + timedelta(days=1))
        at = window.publish_at(starts, ends)
        if at is None:
            continue
        runs = {"starts_at": instant(starts), "ends_at": instant(ends), "campaign_id": str(campaign)}
        message = Promotion(
            promotion_id=f"campaign-{campaign}",
            kind="campaign",
            campaign_type=kind,
            audience=audiences.get((campaign,), []),
            **runs,
        )
        yield _record(message, at)
        for (of_campaign, coupon), covered in skus.items():
            if of_campaign == campaign:
                items = [PromotedItem(sku=sku) for sku in covered]
                yield _record(Promotion(promotion_id=coupon, kind="coupon", items=items, **runs), at)


def display_records(
    tables: Tables, stores: list[int] | None, window: Window, skus: Collection[str] | None = None
) -> Iterator[Record]:
    """Displays and mailers of every week that overlaps the window: of these products at these stores, or of all."""
    for week in WEEKS:
        starts, ends = week_bounds(week)
        at = window.publish_at(starts, ends)
        if at is None:
            continue
        scan = tables.scan("promotions").filter(pl.col("week") == week)
        if stores is not None:
            scan = scan.filter(pl.col("store_id").is_in(stores))
        if skus is not None:
            numbers = pl.Series(list(skus), dtype=pl.String).cast(pl.Int64, strict=False)
            scan = scan.filter(pl.col("product_id").cast(pl.Int64).is_in(numbers.implode()))
        promoted = _in_catalogue(tables, scan).collect()
        for kind in KINDS:
            for key, value in _encode(promoted, kind, starts, ends).iter_rows():
                yield Record(PROMOTIONS, key, value, at)


def _encode(promoted: pl.DataFrame, kind: str, starts: int, ends: int) -> pl.DataFrame:
    """One row a message: key and value (bytes), by store."""
    day = instant(starts)[:10]
    head = f'"kind":"{kind}","starts_at":"{instant(starts)}","ends_at":"{instant(ends)}"'
    return (
        promoted.filter(pl.col(f"{kind}_location") != "0")  # "0": not on display, not in a mailer
        .select("store_id", "product_id", pl.col(f"{kind}_location").alias("location"))
        .unique(maintain_order=True)
        .with_columns(
            (pl.int_range(pl.len()).over("store_id") // ITEMS_MAX + 1).alias("part"),
            fill('{"sku":"{}","location":"{}"}', "product_id", "location").alias("json"),
        )
        .group_by("store_id", "part")
        .agg(pl.col("json").str.join(","))
        .sort("store_id", "part")
        .with_columns(fill(f"{kind}-{day}-{{}}-{{}}", "store_id", "part").alias("id"))
        .select(
            pl.col("id").cast(pl.Binary),
            fill(
                f'{{"version":"1.0","promotion_id":"{{}}",{head},"store_id":"{{}}","items":[{{}}]}}',
                "id", "store_id", "json",
            ).cast(pl.Binary),
        )
    )  # fmt: skip


def _lists(scan: pl.LazyFrame, values: str, *keys: str) -> dict[tuple[object, ...], list[str]]:
    """`values` as text, listed by the keys, in the table's order."""
    grouped = scan.group_by(*keys, maintain_order=True).agg(pl.col(values).cast(pl.String)).collect()
    return {tuple(row[:-1]): row[-1] for row in grouped.iter_rows()}


def _record(message: Promotion, at: int) -> Record:
    return Record(PROMOTIONS, message.promotion_id.encode(), message.to_wire(), at)


def _in_catalogue(tables: Tables, scan: pl.LazyFrame) -> pl.LazyFrame:
    return scan.join(tables.scan("products"), on="product_id", how="semi", maintain_order="left")
