"""What the trips of each segment looked like in the weeks before a model was trained: saved with it, compared live."""

from __future__ import annotations

import json
from collections.abc import Mapping

import polars as pl

from trainer.drift.visits import DAY_S, Visit, Visits
from trainer.registry import RegistryError
from twin_store.dna.profile import LIFE_STAGE_KEYS

FILE = "dna-snapshot.json"
WEEKS = 8
ALL = "all"


def snapshot(
    lines: pl.DataFrame, segments: Mapping[str, str], life_stages: Mapping[str, str], until: int
) -> dict[str, Visits]:
    """The trips of the last WEEKS before `until` (epoch seconds), by segment.

    Args:
        lines: `trainer.tasks.history.LINE_SCHEMA`.
        segments: of each customer, as of `until`; who is not in it is left out.
        life_stages: of the customers who gave one.
    """
    trips = (
        lines.filter((pl.col("kind") == "sale") & pl.col("sku").is_not_null())
        .group_by("customer_id", "transaction_id")
        .agg(pl.col("second", "store_id", "channel").first(), pl.len().alias("lines"), pl.col("net").sum())
        .sort("customer_id", "second", "transaction_id")
        .with_columns((pl.col("second") - pl.col("second").shift(1).over("customer_id")).alias("gap"))
        .filter((pl.col("second") >= until - WEEKS * 7 * DAY_S) & (pl.col("second") < until))
    )
    found: dict[str, Visits] = {}
    columns = ("customer_id", "second", "lines", "net", "gap", "store_id", "channel")
    for customer, second, count, net, gap, store, channel in trips.select(columns).iter_rows():
        segment = segments.get(customer)
        if segment is not None:
            visit = Visit(second, count, net or 0, gap, store, channel, life_stages.get(customer))
            found.setdefault(segment, Visits()).add(visit)
    return found


def life_stages(customers: pl.DataFrame) -> dict[str, str]:
    """Of the customers who gave one, as `Lake.scan_customers` has them; read as their profiles tell it."""
    found = {}
    for customer, text in customers.select("customer_id", "demographics").iter_rows():
        given = json.loads(text) if text else {}
        stage = next((given[key] for key in LIFE_STAGE_KEYS if key in given), None)
        if stage is not None:
            found[customer] = stage
    return found


def to_bytes(found: Mapping[str, Visits]) -> bytes:
    """The file that is saved with a version."""
    return json.dumps({segment: visits.to_json() for segment, visits in sorted(found.items())}).encode()


def from_bytes(content: bytes) -> dict[str, Visits]:
    """Inverse of `to_bytes`. Raises `RegistryError` for anything else."""
    try:
        return {segment: Visits.from_json(each) for segment, each in json.loads(content).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RegistryError(f"{FILE} is broken; train again") from None
