"""What stands when the replay starts: the catalogue and the households' demographics."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import polars as pl

from streams.sources.complete_journey.tables import START_SECONDS, Tables, Window, instant
from streams.sources.record import Record
from streams.topics import CATALOG, CUSTOMERS
from twin_store.messages import CatalogItem, Customer


def catalogue_records(tables: Tables, window: Window) -> Iterator[Record]:
    """One CatalogItem a product, all at the start instant."""
    at = window.publish_at(START_SECONDS)
    if at is None:
        return
    encoder = msgspec.json.Encoder()
    fixed = {"version": CatalogItem.current_version, "updated_at": instant(START_SECONDS)}
    for row in tables.scan("products").select(*_catalogue_columns()).collect().iter_rows(named=True):
        present = {field: value for field, value in row.items() if value is not None}
        yield Record(CATALOG, row["sku"].encode(), encoder.encode(fixed | present), at)


def _catalogue_columns() -> list[pl.Expr]:
    kind = pl.coalesce("product_type", "product_category", "department")
    return [
        pl.col("product_id").cast(pl.String).alias("sku"),
        # Brand, what it is, how much: "Private APPLE SAUCE 50 OZ".
        pl.concat_str("brand", kind, "package_size", separator=" ", ignore_nulls=True).alias("name"),
        pl.col("department").alias("division"),
        pl.col("product_category").alias("section"),
        pl.col("product_type").alias("item_type"),
        pl.col("brand"),
        (pl.col("brand") == "Private").alias("private_label"),
        pl.col("package_size"),
    ]


def customer_records(tables: Tables, households: list[int] | None, window: Window) -> Iterator[Record]:
    """One Customer a household whose demographics are known, all at the start instant."""
    at = window.publish_at(START_SECONDS)
    if at is None:
        return
    scan = tables.scan("demographics")
    if households is not None:
        scan = scan.filter(pl.col("household_id").is_in(households))
    for row in scan.collect().iter_rows(named=True):
        customer_id = str(row.pop("household_id"))
        known = {name: value for name, value in row.items() if value is not None}
        message = Customer(customer_id=customer_id, updated_at=instant(START_SECONDS), demographics=known)
        yield Record(CUSTOMERS, customer_id.encode(), message.to_wire(), at)
