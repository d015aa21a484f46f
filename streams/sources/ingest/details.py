"""What a sales file also says of products and customers: one message each, from the newest row about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from streams.sources.ingest.mapping import Mapping
from streams.sources.ingest.receipts import money_text
from streams.sources.ingest.values import MICROSECONDS
from streams.sources.record import Record
from streams.topics import CATALOG, CUSTOMERS
from twin_store.messages import CatalogItem, Customer
from twin_store.messages.codec import instant_of

MERGE_ROWS = 200_000
SECTIONS = {
    "catalog": ("catalog.sku", "line.sku"),
    "customer": ("customer.customer_id", "receipt.customer_id"),
}


class Details:
    """Collects one section, `catalog` or `customer`, over all batches: memory for one row a key."""

    def __init__(self, section: str, mapping: Mapping) -> None:
        self.section = section
        mapped = mapping.sources()
        self._key = next(f"{name}=" for name in SECTIONS[section] if name in mapped)
        self._times = [
            f"{name}=" for name in (f"{section}.updated_at", "receipt.occurred_at") if name in mapped
        ]
        own = {f"{name}=" for name in mapped if name.startswith(f"{section}.")}
        self._fields = sorted(own - {self._key, *self._times})
        self._waiting: list[pl.DataFrame] = []
        self._waiting_rows = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Rows as `rows.check_rows` gives them; those that are bad say nothing."""
        own_time = pl.col(self._times[0]) if "updated_at" in self._times[0] else pl.lit(None, pl.Int64)
        chosen = rows.filter(~pl.col("bad") & pl.col(self._key).is_not_null()).select(
            pl.col(self._key).alias("key"),
            pl.coalesce(self._times).alias("newest"),
            own_time.alias("at"),
            *self._fields,
        )
        self._waiting.append(chosen)
        self._waiting_rows += chosen.height
        if self._waiting_rows > MERGE_ROWS:
            self._merge()

    def _merge(self) -> pl.DataFrame:
        """The newest value of each field, a row a key."""
        merged = (
            pl.concat(self._waiting)
            .sort("newest", maintain_order=True)
            .group_by("key", maintain_order=True)
            .agg(pl.all().drop_nulls().last())
        )
        self._waiting, self._waiting_rows = [merged], 0
        return merged

    def count(self) -> int:
        """How many messages there will be."""
        return self._merge().height if self._waiting else 0

    def records(self, first_at: int | None) -> Iterator[Record]:
        """A message a key, in the order of their times.

        Args:
            first_at: microseconds since 1970 for keys whose rows say no `updated_at`, so that what a sales file
                says of its products and customers is known from its first receipt on.
        """
        if not self._waiting:
            return
        dated = (
            self._merge()
            .with_columns(pl.col("at").fill_null(pl.lit(first_at, pl.Int64)))
            .sort("at", maintain_order=True)
        )
        for row in dated.iter_rows(named=True):
            present = {name: row[name] for name in self._fields if row[name] is not None}
            fields = {name.removesuffix("=").partition(".")[2]: value for name, value in present.items()}
            yield self._record(row["key"], row["at"] // MICROSECONDS, fields)

    def _record(self, key: str, seconds: int, fields: dict[str, Any]) -> Record:
        updated_at = instant_of(seconds)
        if self.section == "catalog":
            if "list_price" in fields:
                fields["list_price"] = money_text(fields["list_price"])
            item = CatalogItem(sku=key, updated_at=updated_at, **({"name": key} | fields))
            return Record(CATALOG, key.encode(), item.to_wire(), seconds)
        known = {
            n.removeprefix("demographics."): v for n, v in fields.items() if n.startswith("demographics.")
        }
        consent = {n: v for n, v in fields.items() if n == "personalisation_consent"}
        customer = Customer(customer_id=key, updated_at=updated_at, demographics=known, **consent)
        return Record(CUSTOMERS, key.encode(), customer.to_wire(), seconds)
