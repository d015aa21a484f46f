"""Kafka as the lake's writer sees it: partitions of numbered records that can be read again from any offset."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from twin_store.lake import TABLES, LakeFormat, LakeLog, LakeWriter, Storage, Table, bucket_of

PARTITIONS = 4
PUBLISHED = 1_750_000_000.0  # epoch seconds of every record
TOPICS: dict[str, Table] = {f"topic.{name}": table for name, table in TABLES.items()}


def receipt(number: int, customer: str, at: str = "2024-05-01T10:00:00Z", **fields: Any) -> dict[str, Any]:
    """A sale of two lines, as JSON values."""
    lines = [
        {"sku": f"sku-{number}", "quantity": 1.5, "unit_price": "2.50", "net": "3.75", "coupon_ids": ["c1"]},
        {"sku": "milk", "quantity": 1, "net": "0.995", "discount": "0.1", "promotion_ids": ["p1", "p2"]},
    ]
    base = {"transaction_id": f"t{number}", "customer_id": customer, "occurred_at": at, "currency": "USD"}
    return {**base, "lines": lines, **fields}


def click(number: int, at: str = "2024-05-01T09:00:00Z", **fields: Any) -> dict[str, Any]:
    """A page view; give it a `customer_id` or an `anonymous_id`."""
    return {"event_id": f"e{number}", "session_id": "s", "action": "view", "occurred_at": at, **fields}


class Feed:
    """What has been published, and what a writer has taken of it."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]] = defaultdict(list)

    def publish(self, table: str, key: str, value: dict[str, Any] | bytes | None) -> None:
        """Append one record to the partition of its key."""
        raw = json.dumps(value).encode() if isinstance(value, dict) else value
        self.records[f"topic.{table}", bucket_of(key, PARTITIONS)].append((key.encode(), raw))

    def drain(self, writer: LakeWriter, limit: int | None = None) -> None:
        """Give the writer up to `limit` records of each partition from where the lake is, and flush."""
        for source, start in writer.assign(list(self.records)).items():
            self.give(writer, source, start, None if limit is None else start + limit)
        writer.flush()

    def give(self, writer: LakeWriter, source: tuple[str, int], start: int, end: int | None = None) -> None:
        """Give the writer the records [start, end) of one partition."""
        for offset, (key, value) in enumerate(self.records[source][start:end], start):
            writer.append(*source, offset, PUBLISHED, key, value)


def open_log(storage: Storage | str) -> LakeLog:
    """The log of a lake with a bucket a partition, made if it is not there."""
    log = LakeLog(storage if isinstance(storage, Storage) else Storage(storage))
    log.establish(LakeFormat(buckets=PARTITIONS, currency="USD"))
    return log


def new_writer(storage: Storage | str, **limits: Any) -> LakeWriter:
    """A writer process as it is after a start: it knows nothing but what the lake says."""
    return LakeWriter(open_log(storage), TOPICS, **limits)


def offsets(rows: Iterable[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Where rows came from, sorted."""
    return sorted((row["topic"], row["partition"], row["offset"]) for row in rows)
