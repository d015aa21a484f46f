"""The lake's tables: which message each holds, how its rows look, and the folder a row goes to.

Receipts and clicks are stored column by column. Everything else keeps its JSON text whole in `value`, beside the
few columns that reads select on, so that a field added to a message tomorrow is in the lake already.

    <lake>/<table>/day=2024-05-01/bucket=3/<name>.parquet
"""

from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl
import pyarrow as pa
from confluent_kafka import murmur2

from twin_store.messages import (
    CatalogItem,
    Click,
    Customer,
    Erasure,
    Message,
    Outcome,
    Prediction,
    Promotion,
    Transaction,
)

INSTANT = pa.timestamp("us", tz="UTC")
MICROSECONDS_PER_DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1)

# Where a row came from. `received_at` is the Kafka record's own timestamp.
SOURCE_COLUMNS = (
    ("topic", pa.string()),
    ("partition", pa.int32()),
    ("offset", pa.int64()),
    ("received_at", INSTANT),
)
# Money stays the decimal string that was sent and quantity its number: the lake rounds nothing.
LINE = pa.struct(
    [
        ("sku", pa.string()),
        ("quantity", pa.float64()),
        ("unit_price", pa.string()),
        ("discount", pa.string()),
        ("coupon_discount", pa.string()),
        ("net", pa.string()),
        ("coupon_ids", pa.list_(pa.string())),
        ("promotion_ids", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class Table:
    """One table.

    `at` dates a row; `subject` are the columns of which the first that is set names whose row it is, and a
    table without has one bucket. `columns` are taken from the message under the same names; with
    `is_document`, the JSON text follows them as `value`, of which readers decode the fields in `decoded`.
    """

    name: str
    model: type[Message]
    at: str
    subject: tuple[str, ...]
    columns: tuple[tuple[str, pa.DataType], ...]
    is_document: bool = True
    decoded: dict[str, pl.DataType | type[pl.DataType]] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """The columns of every file of this table."""
        value = (("value", pa.string()),) if self.is_document else ()
        return pa.schema([*SOURCE_COLUMNS, *self.columns, *value])


TRANSACTIONS = Table(
    "transactions",
    Transaction,
    at="occurred_at",
    subject=("customer_id",),
    columns=(
        ("version", pa.string()),
        ("customer_id", pa.string()),
        ("transaction_id", pa.string()),
        ("kind", pa.string()),
        ("occurred_at", INSTANT),
        ("store_id", pa.string()),
        ("channel", pa.string()),
        ("currency", pa.string()),
        ("original_transaction_id", pa.string()),
        ("lines", pa.list_(LINE)),
    ),
    is_document=False,
)
CLICKS = Table(
    "clicks",
    Click,
    at="occurred_at",
    subject=("customer_id", "anonymous_id"),
    columns=(
        ("version", pa.string()),
        ("event_id", pa.string()),
        ("session_id", pa.string()),
        ("customer_id", pa.string()),
        ("anonymous_id", pa.string()),
        ("action", pa.string()),
        ("occurred_at", INSTANT),
        ("sku", pa.string()),
        ("query", pa.string()),
        ("quantity", pa.float64()),
        ("transaction_id", pa.string()),
    ),
    is_document=False,
)
CUSTOMERS = Table(
    "customers",
    Customer,
    at="updated_at",
    subject=("customer_id",),
    columns=(("customer_id", pa.string()), ("updated_at", INSTANT), ("personalisation_consent", pa.bool_())),
    decoded={"anonymous_ids": pl.List(pl.String)},
)
CATALOG = Table(
    "catalog",
    CatalogItem,
    at="updated_at",
    subject=(),
    columns=(("sku", pa.string()), ("updated_at", INSTANT)),
    decoded={
        "name": pl.String,
        "division": pl.String,
        "section": pl.String,
        "item_type": pl.String,
        "brand": pl.String,
        "private_label": pl.Boolean,
        "package_size": pl.String,
        "list_price": pl.String,
        "stocked_at": pl.List(pl.String),
        "description": pl.String,
    },
)
PROMOTIONS = Table(
    "promotions",
    Promotion,
    at="starts_at",
    subject=(),
    columns=(
        ("promotion_id", pa.string()),
        ("kind", pa.string()),
        ("starts_at", INSTANT),
        ("ends_at", INSTANT),
        ("store_id", pa.string()),
        ("campaign_id", pa.string()),
        ("campaign_type", pa.string()),
    ),
    decoded={
        "items": pl.List(pl.Struct({"sku": pl.String, "location": pl.String, "price": pl.String})),
        "audience": pl.List(pl.String),
    },
)
PREDICTIONS = Table(
    "predictions",
    Prediction,
    at="as_of",
    subject=("customer_id",),
    columns=(
        ("query_id", pa.string()),
        ("kind", pa.string()),
        ("customer_id", pa.string()),
        ("status", pa.string()),
        ("as_of", INSTANT),
        ("answered_at", INSTANT),
        ("decider", pa.string()),
        ("decider_version", pa.string()),
    ),
    decoded={
        "latency_ms": pl.Float64,
        "raised_by": pl.String,
        "probabilities": pl.List(pl.Float64),
        "raw_probabilities": pl.List(pl.Float64),
        "choice": pl.String,
        "degraded_reason": pl.String,
        "twin_hash": pl.String,
        "intervals": pl.List(pl.Struct({"low": pl.Float64, "high": pl.Float64})),
        "abstains": pl.String,
    },
)
OUTCOMES = Table(
    "outcomes",
    Outcome,
    at="as_of",
    subject=("customer_id",),
    columns=(
        ("query_id", pa.string()),
        ("kind", pa.string()),
        ("customer_id", pa.string()),
        ("as_of", INSTANT),
        ("settled_at", INSTANT),
        ("settled_by", pa.string()),
        ("void", pa.bool_()),
        ("decider", pa.string()),
        ("decider_version", pa.string()),
    ),
    decoded={
        "transaction_id": pl.String,
        "truths": pl.List(pl.Int64),
        "probabilities": pl.List(pl.Float64),
        "brier": pl.Float64,
    },
)
ERASURES = Table(
    "erasures",
    Erasure,
    at="requested_at",
    subject=("customer_id",),
    columns=(("customer_id", pa.string()), ("requested_at", INSTANT)),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        TRANSACTIONS, CLICKS, CUSTOMERS, CATALOG, PROMOTIONS, PREDICTIONS, OUTCOMES, ERASURES,
    )
}  # fmt: skip
# The erasure requests themselves stay: they keep a replay from bringing the customer back.
ERASABLE = tuple(table for table in TABLES.values() if table.subject and table is not ERASURES)


def table_of(model: type[Message]) -> Table | None:
    """The table that holds this message, or None if the lake does not keep it."""
    return next((table for table in TABLES.values() if table.model is model), None)


def bucket_of(subject: str, buckets: int) -> int:
    """The bucket of a customer; with as many buckets as Kafka partitions, the number of her partition."""
    return int(murmur2(subject.encode(), buckets))


def day_text(day: int) -> str:
    """Days since 1970-01-01 as `2024-05-01`."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def folder_of(table: str, day: int, bucket: int) -> str:
    """The folder of one day and bucket of a table."""
    return f"{table}/day={day_text(day)}/bucket={bucket}"
