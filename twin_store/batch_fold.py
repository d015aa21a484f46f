"""The batch fold: twins recomputed from the lake, by the very functions that the hot lane folds with.

Law 5 says that what comes out is the live twin, hash for hash. It is also how a twin is had as of any moment:
fold what happened up to then (law 6).

An anonymous id that became a customer is folded by itself and merged (law 8), as the hot lane hands it over.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from twin_store.about import about_of
from twin_store.dna.forgetting import nameless
from twin_store.dna.layout import EVENT_SECOND, K_SECOND
from twin_store.dna.twin import Twin, fold_about, fold_clicks, fold_receipts, merge
from twin_store.lake import Lake
from twin_store.lake.layout import CLICKS, CUSTOMERS, TRANSACTIONS, Table
from twin_store.lake.scan import Selection, scan
from twin_store.lake_columns import StoredClicks, StoredReceipts, click_columns, receipt_columns
from twin_store.messages import Customer
from twin_store.messages.codec import decode, instant_of

CHUNK = 512  # events folded at once: what a twin has open stays as small as in the hot lane
_MICROSECONDS = 1_000_000

Included = Callable[[pl.LazyFrame, Table], pl.LazyFrame]
"""Keeps the rows of a table that are to be folded."""


@dataclass(frozen=True)
class Stored:
    """What the lake holds of some customers.

    Attributes:
        about: by customer, the newest Customer body and its second.
        erased: by customer, the second up to which she was erased.
    """

    receipts: StoredReceipts
    clicks: StoredClicks
    about: Mapping[str, tuple[bytes, int]]
    erased: Mapping[str, int] = field(default_factory=dict)

    @property
    def customers(self) -> list[str]:
        """Everybody who has something, in order."""
        return sorted({*self.receipts.bounds, *self.clicks.bounds, *self.about})

    @property
    def symbols(self) -> dict[int, str]:
        """Strings by key: every sku and visit."""
        return self.receipts.symbols | self.clicks.symbols


def read(
    lake: Lake,
    *,
    bucket: int | None = None,
    customers: Collection[str] | None = None,
    as_of: int | None = None,
    included: Included = lambda frame, table: frame,
) -> Stored:
    """Load what the lake holds of one bucket, of some customers, or of everybody.

    Args:
        as_of: epoch seconds; leave out what happened later.
    """
    until = None if as_of is None else instant_of(as_of + 1)
    receipts, clicks, about = (
        included(_scan(lake, table, bucket, customers, until), table)
        for table in (TRANSACTIONS, CLICKS, CUSTOMERS)
    )
    return Stored(
        receipt_columns(receipts.collect(), lake.format.currency),
        click_columns(clicks.collect()),
        _newest_about(about.collect()),
        _erased_seconds(lake),
    )


def fold(stored: Stored, customer: str, forgotten_until: int = 0) -> Twin:
    """The twin of what is stored of a customer, in the order of Kafka.

    Args:
        forgotten_until: epoch seconds; leave out what happened up to then, besides what she was erased of herself.
    """
    twin = Twin()
    erased_until = max(stored.erased.get(customer, 0), forgotten_until)
    start, end = stored.receipts.bounds.get(customer, (0, 0))
    events = _after(stored.receipts.events[start:end], EVENT_SECOND, erased_until)
    for at in range(0, len(events), CHUNK):
        twin = fold_receipts(twin, events[at : at + CHUNK], stored.receipts.lines)[0]
    start, end = stored.clicks.bounds.get(customer, (0, 0))
    clicks = _after(stored.clicks.rows[start:end], K_SECOND, erased_until)
    for at in range(0, len(clicks), CHUNK):
        twin = fold_clicks(twin, clicks[at : at + CHUNK])[0]
    body, second = stored.about.get(customer, (b"", 0))
    return fold_about(twin, body, second) if second > erased_until else twin


def fold_all(
    stored: Stored, links: Mapping[str, str], handed_over: Mapping[str, Twin]
) -> Iterator[tuple[str, Twin]]:
    """Every customer with her twin, in order, those left out of whom nothing counted.

    Args:
        links: the customer that each anonymous id became; these ids have no twin of their own.
        handed_over: by customer, the merged twins of the anonymous ids that became her.
    """
    for customer in sorted({*stored.customers, *handed_over}):
        if customer in links:
            continue
        twin = fold(stored, customer)
        if customer in handed_over:
            twin = merge(twin, handed_over[customer])
        if twin.last_second or twin.about_second:
            yield customer, twin


def read_links(lake: Lake, included: Included = lambda frame, table: frame) -> dict[str, str]:
    """The customer that each anonymous id became, as the hot lane settles it.

    Of two customers that claim an id the one whose record came first has it; whoever has claimed others is not
    claimed any more; and a record that an id was forgotten after claims it no longer.
    """
    frame = included(_scan(lake, CUSTOMERS, None, None, None), CUSTOMERS)
    fields = pl.Struct({"anonymous_ids": pl.List(pl.String)})
    records = (
        frame.with_columns(pl.col("value").str.json_decode(fields).struct.unnest())
        .filter(pl.col("anonymous_ids").list.len() > 0)
        .sort("received_at", "topic", "partition", "offset")
        .select("customer_id", pl.col("updated_at").dt.epoch("s"), "anonymous_ids")
        .collect()
    )
    forgotten = _erased_seconds(lake)
    links: dict[str, str] = {}
    claimants: set[str] = set()
    for customer, second, named in records.iter_rows():
        others = [other for other in named if other != customer]
        if others and second > forgotten.get(customer, 0):
            claimants.add(customer)
        for other in others:
            if second > forgotten.get(other, 0) and other not in links and other not in claimants:
                links[other] = customer
    return {anonymous: _last_of(links, anonymous) for anonymous in links}


def _last_of(links: Mapping[str, str], anonymous: str) -> str:
    """Who an id became in the end. Links make no circles, since no claimant is claimed."""
    while anonymous in links:
        anonymous = links[anonymous]
    return anonymous


def fold_links(
    lake: Lake, links: Mapping[str, str], included: Included = lambda frame, table: frame
) -> dict[str, Twin]:
    """By customer, what the anonymous ids brought that became her, merged; but for what she had forgotten."""
    if not links:
        return {}
    stored = read(lake, customers=list(links), included=included)
    found: dict[str, Twin] = {}
    for anonymous, customer in sorted(links.items()):
        twin = nameless(fold(stored, anonymous, stored.erased.get(customer, 0)))
        if twin.last_second:
            found[customer] = merge(found[customer], twin) if customer in found else twin
    return found


def twin_as_of(lake: Lake, customer: str, as_of: int) -> tuple[Twin, dict[int, str]]:
    """A customer's twin as of epoch second `as_of`, from the lake alone, and the strings behind its keys."""
    became = read_links(lake, lambda frame, table: frame.filter(pl.col("updated_at") <= instant_of(as_of)))
    anonymous = [other for other, owner in became.items() if owner == customer]
    stored = read(lake, customers=[customer, *anonymous], as_of=as_of)
    twin = fold(stored, customer)
    for other in anonymous:
        twin = merge(twin, nameless(fold(stored, other, stored.erased.get(customer, 0))))
    return twin, stored.symbols


def _scan(
    lake: Lake,
    table: Table,
    bucket: int | None,
    customers: Collection[str] | None,
    until: datetime | None,
) -> pl.LazyFrame:
    selection = Selection(None, until, customers, bucket)
    return scan(lake.log.storage, lake.state, table, selection, lake.format.buckets)


def _erased_seconds(lake: Lake) -> dict[str, int]:
    return {who: micros // _MICROSECONDS for who, micros in lake.state.erasures.items()}


def _newest_about(frame: pl.DataFrame) -> dict[str, tuple[bytes, int]]:
    """Of each customer the newest body; only those are decoded."""
    second = pl.col("updated_at").dt.epoch("s")
    newest = frame.filter(second == second.max().over("customer_id"))
    found: dict[str, tuple[bytes, int]] = {}
    for customer, value in newest.select("customer_id", "value").iter_rows():
        body, at = about_of(decode(Customer, value.encode()))
        found[customer] = max(
            found.get(customer, (b"", 0)), (body, at), key=lambda about: (about[1], about[0])
        )
    return found


def _after(rows: np.ndarray, second_column: int, second: int) -> np.ndarray:
    return rows[rows[:, second_column] > second] if second else rows
