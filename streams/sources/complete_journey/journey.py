"""The data set as one stream of records in event-time order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

import polars as pl

from streams.errors import UsageError
from streams.sources.complete_journey.catalogue import catalogue_records, customer_records
from streams.sources.complete_journey.promotions import campaign_records, display_records
from streams.sources.complete_journey.receipts import receipt_records
from streams.sources.complete_journey.tables import (
    START_SECONDS,
    Window,
    all_households,
    choose_households,
    find_tables,
    instant,
)
from streams.sources.record import Record, in_time_order
from streams.topics import CATALOG, CUSTOMERS, PROMOTIONS, TRANSACTIONS, Topic
from twin_store.messages.codec import epoch_seconds

SOURCE = "/complete-journey"  # CloudEvents `source`
PUBLISHED = (CATALOG, CUSTOMERS, PROMOTIONS, TRANSACTIONS)


class CompleteJourney:
    """The installed data set. Raises `UsageError` when its package is missing."""

    def __init__(self) -> None:
        self._tables = find_tables()

    def records(
        self,
        from_: datetime | None = None,
        until: datetime | None = None,
        customers: int | Sequence[str] | None = None,
        topics: Collection[Topic] = PUBLISHED,
        displays: bool = True,
        rounds: int = 1,
        promoted: Collection[str] | None = None,
    ) -> Iterator[Record]:
        """What happened from `from_` up to, not including, `until`, in time order.

        Catalogue and demographics come first. A promotion comes when it starts, or first of all if it runs
        already; a campaign's audience is known from its start. At one instant: catalogue, demographics,
        promotions, receipts.

        Args:
            customers: how many (the same ones every time, chosen by a hash), or their ids, or all: their
                receipts, demographics and places in audiences, and the displays of the stores they visit.
            topics: which topics to fill.
            displays: whether to publish displays and mailers, 23 million items in a year.
            rounds: how many times the receipts come, each time 53 weeks later under other transaction ids.
            promoted: name no other products on displays and mailers than these; all unless given.

        Raises:
            UsageError: for an unknown customer, or bounds that leave nothing.
        """
        window = _window(from_, until)
        households = choose_households(self._tables, customers)
        streams: list[Iterator[Record]] = []
        if CATALOG in topics:
            streams.append(catalogue_records(self._tables, window))
        if CUSTOMERS in topics:
            streams.append(customer_records(self._tables, households, window))
        if PROMOTIONS in topics:
            streams.append(campaign_records(self._tables, households, window))
            if displays:
                streams.append(display_records(self._tables, self._stores(households), window, promoted))
        if TRANSACTIONS in topics:
            streams.append(receipt_records(self._tables, households, window, rounds))
        return in_time_order(*streams)

    def customers(self, count: int | None = None) -> list[str]:
        """The customer ids that `records(customers=count)` is about."""
        return [str(household) for household in all_households(self._tables)[:count]]

    def _stores(self, households: list[int] | None) -> list[int] | None:
        if households is None:
            return None
        visits = self._tables.scan("transactions").filter(pl.col("household_id").is_in(households))
        return visits.select(pl.col("store_id").unique()).collect()["store_id"].to_list()


def _window(from_: datetime | None, until: datetime | None) -> Window:
    start = START_SECONDS if from_ is None else max(START_SECONDS, epoch_seconds(from_))
    end = None if until is None else epoch_seconds(until)
    if end is not None and end <= start:
        raise UsageError(
            f"nothing happened from {instant(start)} until {instant(end)}; the receipts are of 2017, UTC"
        )
    return Window(start, end)
