"""Rows of one batch, checked and complete: typed values, kind and signs settled, bad ones marked with reasons."""

from __future__ import annotations

import polars as pl

from streams.sources.ingest.mapping import Constant, Mapping, columns_of
from streams.sources.ingest.rejects import Reject
from streams.sources.ingest.values import MONEY_UNIT, complaint_about, read_values
from twin_store.messages.codec import minor_digits

ID_MAX = 128
KEY_PARTS = ("receipt.customer_id", "receipt.store_id")
AMOUNTS = ("unit_price", "discount", "coupon_discount")
AS_READ = {
    "line": ("sku", "coupon_ids", "promotion_ids"),
    "receipt": (
        "customer_id",
        "occurred_at",
        "transaction_id",
        "store_id",
        "channel",
        "original_transaction_id",
    ),
}


ROW_COLUMNS = [
    *("row", "item", "bad", "key", "kind", "customer_id", "occurred_at", "store_id", "channel", "currency"),
    *("original_transaction_id", "sku", "quantity", "net", *AMOUNTS, "coupon_ids", "promotion_ids"),
]
"""What a receipt is made of, a row a line."""


def check_rows(raw: pl.DataFrame, mapping: Mapping, currency: str) -> tuple[pl.DataFrame, list[Reject]]:
    """The rows, and what is wrong with them in the file's order.

    Args:
        raw: `row`, `item`, and the text of every mapped field under its name, such as `line.sku`.
        mapping: what the file's columns are.
        currency: the deployment's.

    Returns:
        `row`, `item`, `bad` (whether anything is wrong with the row), the value of every mapped field under its
        name with `=` behind it and, where receipts are mapped, the columns of `receipt_columns`. Rows without
        a customer are left out where the mapping says so.
    """
    if mapping.receipt is not None and mapping.receipt.without_customer == "skip":
        raw = raw.filter(pl.col("receipt.customer_id").is_not_null())
    frame = read_values(raw, mapping)
    complaints = {name: complaint_about(name) for name in mapping.sources()}
    if mapping.receipt is not None:
        frame = frame.with_columns(_kind(mapping)).with_columns(receipt_columns(mapping, currency))
    for name, condition, text in _complaints_about_row(mapping, currency):
        if name in complaints:
            complaints[name] = pl.coalesce(complaints[name], pl.when(condition).then(pl.lit(text)))
    frame = frame.with_columns(complaint.alias(f"{name}?") for name, complaint in complaints.items())
    bad = pl.any_horizontal(pl.col(f"{name}?").is_not_null() for name in complaints)
    frame = frame.with_columns(bad.alias("bad"))
    rejects = _rejects(frame.filter("bad"), list(complaints), mapping)
    return frame.drop(list(mapping.sources()), [f"{name}?" for name in complaints]), rejects


def _kind(mapping: Mapping) -> pl.Expr:
    """What is not said to be anything else is a sale, or a return if its quantity (or amount) is negative."""
    said = _value(mapping, "receipt.kind", pl.String).fill_null("sale")
    counted = "line.quantity" in mapping.sources()
    negative = _value(mapping, "line.quantity" if counted else "line.net", pl.Float64) < 0
    returned = (said == "sale") & negative.fill_null(False)
    return pl.when(returned).then(pl.lit("return")).otherwise(said).alias("kind")


def receipt_columns(mapping: Mapping, currency: str) -> list[pl.Expr]:
    """What receipts are made of, beside `kind`. Rows of one customer with one `key` are one receipt.

    Amounts and quantities are positive, but for the net of a sale line, which may take something off. A net that
    is not given is made of price, quantity and discount.
    """
    as_read = [
        _value(mapping, f"{section}.{name}", pl.Int64 if name == "occurred_at" else pl.String).alias(name)
        for section, names in AS_READ.items()
        for name in names
    ]
    amounts = {name: _value(mapping, f"line.{name}", pl.Int64).abs() for name in AMOUNTS}
    quantity = _value(mapping, "line.quantity", pl.Float64).abs()
    if "line.quantity" not in mapping.sources():
        quantity = pl.lit(1.0)
    minor = MONEY_UNIT // 10 ** minor_digits(currency)
    gross = amounts["unit_price"] * quantity - amounts["discount"].fill_null(0)
    made = ((gross / minor).round() * minor).cast(pl.Int64)
    net = pl.coalesce(_value(mapping, "line.net", pl.Int64), made)
    return [
        *as_read,
        *(amount.alias(name) for name, amount in amounts.items()),
        quantity.alias("quantity"),
        pl.when(pl.col("kind") == "return").then(net.abs()).otherwise(net).alias("net"),
        _value(mapping, "receipt.currency", pl.String).fill_null(currency).alias("currency"),
        _key(mapping).alias("key"),
    ]


def _key(mapping: Mapping) -> pl.Expr:
    """The transaction id, or one made of customer, time and store."""
    at = pl.from_epoch(_value(mapping, "receipt.occurred_at", pl.Int64), "us").dt.replace_time_zone("UTC")
    text = at.dt.strftime("%Y%m%dT%H%M%SZ")
    if mapping.receipt is not None and mapping.receipt.one_receipt_per == "day":
        text = at.dt.convert_time_zone(mapping.time_zone).dt.strftime("%Y%m%d")
    customer, store = (_value(mapping, name, pl.String) for name in KEY_PARTS)
    made = pl.concat_str(customer, text, store, separator="-", ignore_nulls=True)
    return pl.coalesce(_value(mapping, "receipt.transaction_id", pl.String), made)


def _complaints_about_row(mapping: Mapping, currency: str) -> list[tuple[str, pl.Expr, str]]:
    """(field, condition, complaint) for what only the whole row can tell."""
    if mapping.receipt is None:
        times = [f"{section}.updated_at" for section in ("catalog", "customer")]
        return [(name, pl.col(f"{name}=").is_null(), "is empty") for name in times]
    in_line = pl.col("kind") != "void"
    nothing = (pl.col("kind") == "return") & (pl.col("quantity") == 0)
    foreign = pl.col("currency") != currency
    too_long = pl.col("key").str.len_chars() > ID_MAX
    return [
        ("line.sku", in_line & pl.col("sku").is_null(), "is empty"),
        ("line.quantity", in_line & pl.col("quantity").is_null(), "is empty"),
        ("line.quantity", nothing, "is no quantity to return"),
        ("receipt.currency", foreign, f"is not {currency}, this deployment's currency"),
        ("receipt.customer_id", too_long, "is too long to make a transaction id of; map transaction_id"),
    ]


def _value(mapping: Mapping, name: str, dtype: type[pl.DataType]) -> pl.Expr:
    """A field's value; null where it is not mapped."""
    return pl.col(f"{name}=") if name in mapping.sources() else pl.lit(None, dtype)


def _rejects(bad: pl.DataFrame, names: list[str], mapping: Mapping) -> list[Reject]:
    sources = mapping.sources()
    rejects = []
    for row in bad.iter_rows(named=True):
        content = {" + ".join(columns_of(source)): row[name] for name, source in sources.items()}
        content.pop("", None)  # constants
        for name in names:
            if (reason := row[f"{name}?"]) is not None:
                rejects.append(Reject(row["row"], reason, _shown(name, mapping), row[name], content))
    return rejects


def _shown(name: str, mapping: Mapping) -> str:
    """The file's column for a field; the field itself where it is a constant."""
    source = mapping.sources()[name]
    return name if isinstance(source, Constant) else " + ".join(columns_of(source))
