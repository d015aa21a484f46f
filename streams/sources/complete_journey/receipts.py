"""Receipts: one Transaction a basket, built in columns, because an object a line would bound every benchmark.

The bytes hold what `Transaction.to_wire` would write, less the fields of a line that are at their default.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from streams.sources.complete_journey.tables import CURRENCY, STORE_TIME_ZONE, Tables, Window
from streams.sources.json_columns import fill, fill_if, instant, money
from streams.sources.record import Record
from streams.topics import TRANSACTIONS

ROUND_SECONDS = 53 * 7 * 86_400  # a year in whole weeks, longer than the data set
SLICE_SECONDS = 7 * 86_400  # receipts are built a week at a time, so that the first is there at once


def receipt_records(
    tables: Tables, households: list[int] | None, window: Window, rounds: int = 1
) -> Iterator[Record]:
    """Every receipt of the window in time order, coupons attached to the lines that redeem them.

    With more rounds they come again, each time `ROUND_SECONDS` later and under ids that end in the round's number.
    """
    lines = _with_coupons(tables, _load_lines(tables, households))
    lines = lines.filter(pl.col("at") >= window.start)
    if window.end is not None:
        lines = lines.filter(pl.col("at") < window.end)
    slices = lines.group_by(pl.col("at") // SLICE_SECONDS, maintain_order=True).len()["len"]
    for repeat in range(rounds):
        offset = 0
        for length in slices:
            yield from _records(_encode(lines.slice(offset, length), repeat))
            offset += length


def _load_lines(tables: Tables, households: list[int] | None) -> pl.DataFrame:
    """The data set's lines in time order, money in cents, `at` in epoch seconds."""
    scan = tables.scan("transactions")
    if households is not None:
        scan = scan.filter(pl.col("household_id").is_in(households))
    return (
        scan.select(
            "household_id",
            "store_id",
            "basket_id",
            "product_id",
            "quantity",
            _cents("sales_value").alias("net"),
            (_cents("retail_disc") + _cents("coupon_match_disc")).alias("discount"),
            _cents("coupon_disc").alias("coupon_discount"),
            pl.col("transaction_timestamp").dt.epoch("s").alias("at"),
        )
        .sort("at", maintain_order=True)
        .with_row_index("line")
        .collect()
    )


def _with_coupons(tables: Tables, lines: pl.DataFrame) -> pl.DataFrame:
    """Add `coupon_ids`: the JSON strings of the coupons that a line redeems, joined by commas, else null.

    The data set says who redeemed which coupon on which day. Of that household's lines of that day it is the
    first of: a line the coupon covers with a coupon discount, any line it covers, any line with a coupon
    discount, the first line.
    """
    redeemed = (
        tables.scan("coupon_redemptions")
        .select("household_id", "coupon_upc", "campaign_id", pl.col("redemption_date").dt.date().alias("day"))
        .unique(maintain_order=True)
        .collect()
    )
    local_day = (
        pl.from_epoch("at").dt.replace_time_zone("UTC").dt.convert_time_zone(STORE_TIME_ZONE).dt.date()
    )
    of_day = (
        lines.filter(pl.col("household_id").is_in(redeemed["household_id"].unique().implode()))
        .select("line", "household_id", "product_id", "coupon_discount", local_day.alias("day"))
        .join(redeemed, on=["household_id", "day"])
    )
    covered = tables.scan("coupons").unique().with_columns(covers=True).collect()
    chosen = (
        of_day.join(covered, on=["coupon_upc", "product_id", "campaign_id"], how="left")
        .with_columns(rank=2 * pl.col("covers").is_null() + (pl.col("coupon_discount") == 0))
        .sort("rank", "line")
        .group_by("household_id", "day", "coupon_upc", "campaign_id", maintain_order=True)
        .agg(pl.col("line").first())
    )
    ids = (
        chosen.sort("line", "campaign_id", "coupon_upc")
        .group_by("line", maintain_order=True)
        .agg(fill('"{}"', coupon_id()).str.join(",").alias("coupon_ids"))
    )
    return lines.join(ids, on="line", how="left", maintain_order="left")


def coupon_id() -> pl.Expr:
    """The id of a coupon as receipts and promotions name it. One code may run in several campaigns."""
    return fill("coupon-{}-{}", "campaign_id", "coupon_upc")


def _encode(lines: pl.DataFrame, repeat: int) -> pl.DataFrame:
    """One row a basket: key, value (bytes), at, lines, net."""
    if repeat:
        again = fill(f"{{}}-{repeat}", "basket_id").alias("basket_id")
        lines = lines.with_columns(pl.col("at") + repeat * ROUND_SECONDS, again)
    return (
        lines.with_columns(_line_json().alias("json"))
        .group_by("basket_id", maintain_order=True)
        .agg(
            pl.col("household_id", "store_id", "at").first(),
            pl.col("json").str.join(","),
            pl.len().alias("lines"),
            pl.col("net").sum(),
        )
        .select(
            pl.col("household_id").cast(pl.String).cast(pl.Binary).alias("key"),
            _receipt_json().cast(pl.Binary).alias("value"),
            "at",
            "lines",
            "net",
        )
    )


def _records(receipts: pl.DataFrame) -> Iterator[Record]:
    columns = [receipts[name].to_list() for name in ("key", "value", "at", "lines", "net")]
    for key, value, at, lines, net in zip(*columns, strict=True):
        yield Record(TRANSACTIONS, key, value, at, lines, net)


def _receipt_json() -> pl.Expr:
    return fill(
        '{"version":"1.0","transaction_id":"{}","customer_id":"{}","kind":"sale","occurred_at":"{}",'
        f'"store_id":"{{}}","channel":"store","currency":"{CURRENCY}","lines":[{{}}]}}',
        "basket_id", "household_id", instant(pl.col("at")), "store_id", "json",
    )  # fmt: skip


def _line_json() -> pl.Expr:
    quantity, net, discount, coupon = (pl.col(n) for n in ("quantity", "net", "discount", "coupon_discount"))
    # Ten-thousandths, half up, in whole numbers: a float would decide ties by its last bit.
    price = (2 * 100 * (net + discount) + quantity) // (2 * quantity)
    price_text = pl.when(price % 100 == 0).then(money(price // 100)).otherwise(money(price, 4))
    return pl.concat_str(
        fill('{"sku":"{}","quantity":{}', "product_id", quantity),
        fill_if(quantity > 0, ',"unit_price":"{}"', price_text),
        fill_if(discount > 0, ',"discount":"{}"', money(discount)),
        fill_if(coupon > 0, ',"coupon_discount":"{}"', money(coupon)),
        fill(',"net":"{}"', money(net)),
        fill_if(pl.col("coupon_ids").is_not_null(), ',"coupon_ids":[{}]', "coupon_ids"),
        pl.lit("}"),
    )


def _cents(column: str) -> pl.Expr:
    return (pl.col(column) * 100).round().cast(pl.Int64)
