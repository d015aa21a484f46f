"""Text columns to typed ones, and what is wrong with the values that do not fit.

Money becomes whole ten-thousandths of the currency, quantities floats, instants whole microseconds since 1970.
A value that does not fit becomes null: with its text at hand, that is how it is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from streams.sources.ingest.mapping import Mapping
from twin_store.messages.base import INSTANT_SECONDS_MAX, QUANTITY_MAX

MONEY_UNIT = 10_000
MONEY_BELOW = 10_000_000  # a decimal string has at most seven digits before the point
MICROSECONDS = 1_000_000
TRUE, FALSE = ["1", "true", "yes", "y", "t"], ["0", "false", "no", "n", "f"]
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
REPLACEMENT = "\ufffd"  # what the reader puts in place of bytes that are not of the file's encoding


@dataclass(frozen=True)
class Field:
    """How one field's text is read, what to say when it cannot be, and whether a row can do without it."""

    read: Callable[[pl.Expr, Mapping], pl.Expr]
    complaint: str
    required: bool = False


def _text(limit: int, required: bool = False) -> Field:
    def read(text: pl.Expr, mapping: Mapping) -> pl.Expr:
        return pl.when(text.str.len_chars() <= limit).then(text)

    return Field(read, f"is longer than {limit} characters", required)


def _number(text: pl.Expr, mapping: Mapping) -> pl.Expr:
    if mapping.thousands:
        text = text.str.replace_all(mapping.thousands, "", literal=True)
    if mapping.decimal != ".":
        # A point is then no decimal: 1.500 may be fifteen hundred, so it is refused unless it is `thousands`.
        text = pl.when(~text.str.contains(".", literal=True)).then(text)
        text = text.str.replace(mapping.decimal, ".", literal=True)
    return pl.when(text.str.contains(NUMBER)).then(text).cast(pl.Float64, strict=False)


def _quantity(text: pl.Expr, mapping: Mapping) -> pl.Expr:
    value = _number(text, mapping)
    return pl.when(value.abs() <= QUANTITY_MAX).then(value.round(3))


def _money(text: pl.Expr, mapping: Mapping) -> pl.Expr:
    value = _number(text, mapping)
    return pl.when(value.abs() < MONEY_BELOW - 1).then((value * MONEY_UNIT).round().cast(pl.Int64))


def _boolean(text: pl.Expr, mapping: Mapping) -> pl.Expr:
    lower = text.str.to_lowercase()
    return pl.when(lower.is_in(TRUE)).then(pl.lit(True)).when(lower.is_in(FALSE)).then(pl.lit(False))


def _kind(text: pl.Expr, mapping: Mapping) -> pl.Expr:
    kinds = mapping.receipt.kinds if mapping.receipt else None
    if kinds is None:
        return pl.lit(None, pl.String)
    other = pl.lit(None, pl.String) if kinds.sale else pl.when(text.is_not_null()).then(pl.lit("sale"))
    return (
        pl.when(text.is_in(kinds.return_))
        .then(pl.lit("return"))
        .when(text.is_in(kinds.void))
        .then(pl.lit("void"))
        .when(text.is_in(kinds.sale))
        .then(pl.lit("sale"))
        .otherwise(other)
    )


def _instant(text: pl.Expr, mapping: Mapping) -> pl.Expr:
    match mapping.time_format:
        case "epoch_s" | "epoch_ms":
            scale = MICROSECONDS if mapping.time_format == "epoch_s" else 1_000
            found = (text.cast(pl.Float64, strict=False) * scale).cast(pl.Int64, strict=False)
        case "iso":
            found = _iso(text, mapping.time_zone).dt.epoch("us")
        case pattern:
            found = _by_pattern(text, pattern, mapping.time_zone).dt.epoch("us")
    return pl.when((found > 0) & (found < INSTANT_SECONDS_MAX * MICROSECONDS)).then(found)


def _iso(text: pl.Expr, time_zone: str) -> pl.Expr:
    """A date, or a date and time with or without seconds, fraction and offset."""
    text = text.str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1}T00:00:00")
    text = text.str.replace(r"^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2})($|Z|[+-])", "${1}T${2}:00${3}")
    text = text.str.replace(" ", "T", literal=True).str.replace(r"Z$", "+00:00")
    zoned = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False)
    local = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    return pl.coalesce(zoned, _in_zone(local, time_zone))


def _by_pattern(text: pl.Expr, pattern: str, time_zone: str) -> pl.Expr:
    if "%z" in pattern or "%:z" in pattern or "%#z" in pattern:
        return text.str.to_datetime(pattern, time_unit="us", time_zone="UTC", strict=False)
    if any(code in pattern for code in ("%H", "%I", "%T", "%R", "%X", "%c", "%s")):
        local = text.str.to_datetime(pattern, time_unit="us", strict=False)
    else:
        local = text.str.to_date(pattern, strict=False).cast(pl.Datetime("us"))
    return _in_zone(local, time_zone)


def _in_zone(local: pl.Expr, time_zone: str) -> pl.Expr:
    """Local times in UTC: the first of the two when clocks go back, none for the hour that they skip."""
    zoned = local.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC")


_ID, _REQUIRED_ID = _text(128), _text(128, required=True)
_AMOUNT = Field(_money, "is not an amount of money")
_FLAG = Field(_boolean, f"is not one of {', '.join([*TRUE, *FALSE])}")
_TIME = Field(_instant, "does not fit time_format, or is not a time of time_zone between 1970 and 2100")

FIELDS: dict[str, Field] = {
    "receipt.customer_id": _REQUIRED_ID,
    "receipt.occurred_at": Field(_TIME.read, _TIME.complaint, required=True),
    "receipt.transaction_id": _ID,
    "receipt.store_id": _ID,
    "receipt.channel": _text(32),
    "receipt.currency": _text(3),
    "receipt.kind": Field(_kind, "is not listed in receipt.kinds"),
    "receipt.original_transaction_id": _ID,
    "line.sku": _ID,  # needed but for voids, as is the quantity: `rows` knows which rows those are
    "line.quantity": Field(_quantity, f"is not a number of at most {QUANTITY_MAX:,}"),
    "line.unit_price": _AMOUNT,
    "line.net": _AMOUNT,
    "line.discount": _AMOUNT,
    "line.coupon_discount": _AMOUNT,
    "line.coupon_ids": _text(4_000),
    "line.promotion_ids": _text(4_000),
    "catalog.sku": _REQUIRED_ID,
    "catalog.updated_at": _TIME,
    "catalog.name": _text(512),
    "catalog.division": _ID,
    "catalog.section": _ID,
    "catalog.item_type": _ID,
    "catalog.brand": _ID,
    "catalog.private_label": _FLAG,
    "catalog.package_size": _text(64),
    "catalog.list_price": _AMOUNT,
    "catalog.description": _text(4_000),
    "customer.customer_id": _REQUIRED_ID,
    "customer.updated_at": _TIME,
    "customer.personalisation_consent": _FLAG,
}
DEMOGRAPHIC = _ID


def field_called(name: str) -> Field:
    """The field of this name, such as `line.sku` or `customer.demographics.age`."""
    return DEMOGRAPHIC if name.startswith("customer.demographics.") else FIELDS[name]


def read_values(raw: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """The text columns and beside each, named with `=` behind, its value."""
    names = mapping.sources()
    return raw.with_columns(
        field_called(name).read(pl.col(name), mapping).alias(f"{name}=") for name in names
    )


def complaint_about(name: str) -> pl.Expr:
    """What is wrong with a field, or null, in the frame that `read_values` gives."""
    field = field_called(name)
    return (
        pl.when(pl.col(name).is_null())
        .then(pl.lit("is empty") if field.required else pl.lit(None, pl.String))
        .when(pl.col(name).str.contains(REPLACEMENT, literal=True))
        .then(pl.lit("holds characters of another encoding; set csv.encoding in the mapping"))
        .when(pl.col(f"{name}=").is_null())
        .then(pl.lit(field.complaint))
    )
