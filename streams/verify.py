"""Live = batch: every profile recomputed from the lake and compared with the published one, hash for hash.

The comparison is exact at any moment, also while events stream in. What each twin must include is read first (the
updater's committed offsets), then the profiles, and then exactly those records of the lake are folded.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import polars as pl

from streams.errors import TwinsError
from streams.kafka import topic_name
from streams.live_profiles import LiveProfile, live_profiles
from streams.positions import PositionReader
from streams.settings import Settings
from streams.topics import CLICKSTREAM, CUSTOMERS, ERASURE, PROFILES, TRANSACTIONS, TRANSFERS
from streams.updater.process import NAME as UPDATER
from twin_store import batch_fold
from twin_store.dna.profile import ProductNames, ProfileWriter
from twin_store.dna.twin import Twin
from twin_store.lake import Lake, LakeError, Table
from twin_store.lake.layout import ERASURES, bucket_of, table_of
from twin_store.lake.scan import Selection, owner, scan
from twin_store.messages.codec import instant_of

FOLDED = (TRANSACTIONS, CLICKSTREAM, CUSTOMERS)
SOURCES = (*FOLDED, ERASURE)
TRANSACTION_TIMEOUT_S = 60.0
LAKE_POLL_S = 0.25
EXPLAINED_MAX = 10
# Parts of the DNA that read nothing but the twin: the others are read against the products as they stood then.
COMPARED_PARTS = ("activity", "basket", "promotion", "timing", "channels", "stores", "regulars", "funnel")
NOT_OF_THE_TWIN = ("promotion.deal_lift",)


class LakeBehindError(TwinsError):
    """The lake lacks records that the twins include."""


@dataclass(frozen=True)
class Divergence:
    """A customer whose live twin is not what the lake gives, and in what."""

    customer_id: str
    differences: list[str]


@dataclass
class Verification:
    """What was found.

    Attributes:
        total: customers compared.
        divergent: how many of them differ; the first of them are `divergences`.
        unsettled: customers left out, because a link or an erasure of theirs is on its way.
        receipts, clicks: records of the lake that were folded.
    """

    total: int = 0
    divergent: int = 0
    unsettled: int = 0
    receipts: int = 0
    clicks: int = 0
    wall_s: float = 0.0
    divergences: list[Divergence] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the demo's report."""
        return asdict(self)


def verify(settings: Settings, wait_s: float = 60.0) -> Verification:
    """Recompute and compare everything.

    Args:
        wait_s: how long the lake may take to catch up with the twins.

    Raises:
        LakeBehindError: it did not.
        TwinsError: Kafka or the lake cannot be read.
    """
    began = time.monotonic()
    live = _Live.read(settings)
    try:
        lake = _lake_with(settings, live, began + wait_s)
        found = _compare(settings, lake, live)
    except LakeError as error:
        raise TwinsError(str(error)) from error
    found.wall_s = round(time.monotonic() - began, 3)
    return found


@dataclass(frozen=True)
class _Live:
    """What the updater says: its committed offsets by full topic name, and the profiles it published.

    `ahead` are the offsets of profiles that came after those offsets were read.
    """

    committed: Mapping[tuple[str, int], int]
    profiles: Mapping[str, LiveProfile]
    ahead: Mapping[str, Mapping[tuple[str, int], int]]
    transfers_settled: bool

    @classmethod
    def read(cls, settings: Settings) -> _Live:
        with contextlib.closing(PositionReader(settings)) as positions:
            committed = {
                (topic_name(settings, topic), partition): offset
                for (topic, partition), offset in positions.committed(UPDATER, (*SOURCES, TRANSFERS)).items()
            }
            # The profiles of what is committed must be readable before they are read.
            positions.wait_for_open_transactions(PROFILES, TRANSACTION_TIMEOUT_S)
            profiles = live_profiles(settings)
            behind = [
                end - committed[topic_name(settings, topic), partition]
                for (topic, partition), end in positions.ends([TRANSFERS]).items()
            ]
        ahead = {
            customer: profile.offsets
            for customer, profile in profiles.items()
            if any(offset > committed.get(source, 0) for source, offset in profile.offsets.items())
        }
        # One offset may be the marker of a transaction.
        return cls(committed, profiles, ahead, transfers_settled=all(count <= 1 for count in behind))

    def reach(self) -> dict[tuple[str, int], int]:
        """How far the lake must be."""
        reach = dict(self.committed)
        for offsets in self.ahead.values():
            for source, offset in offsets.items():
                reach[source] = max(reach.get(source, 0), offset)
        return reach


class _Included:
    """Keeps the rows that the updater had folded when the profiles were read. See `batch_fold.Included`."""

    def __init__(self, settings: Settings, live: _Live) -> None:
        self._topics = {
            table.name: topic_name(settings, topic)
            for topic in FOLDED
            if topic.message is not None and (table := table_of(topic.message)) is not None
        }
        self._live = live

    def __call__(self, frame: pl.LazyFrame, table: Table) -> pl.LazyFrame:
        topic = self._topics[table.name]
        committed = {p: offset for (name, p), offset in self._live.committed.items() if name == topic}
        ends = pl.LazyFrame(
            {"partition": list(committed), "_end": list(committed.values())},
            schema={"partition": pl.Int32, "_end": pl.Int64},
        )
        frame = frame.filter(pl.col("topic") == topic).join(ends, on="partition", how="left")
        ahead = {
            customer: max((o for (name, _), o in offsets.items() if name == topic), default=0)
            for customer, offsets in self._live.ahead.items()
        }
        if ahead:
            later = pl.LazyFrame(
                {"_owner": list(ahead), "_later": list(ahead.values())},
                schema={"_owner": pl.String, "_later": pl.Int64},
            )
            frame = frame.with_columns(owner(table).alias("_owner")).join(later, on="_owner", how="left")
            frame = frame.with_columns(pl.max_horizontal("_end", "_later").alias("_end"))
            frame = frame.drop("_owner", "_later")
        return frame.filter(pl.col("offset") < pl.col("_end")).drop("_end")


def _lake_with(settings: Settings, live: _Live, deadline: float) -> Lake:
    """The lake, as soon as it holds all that the twins include."""
    lake = Lake(settings.lake)
    reach = {source: end for source, end in live.reach().items() if _is_kept(settings, source[0])}
    while True:
        held = lake.positions()
        behind = {source: end - held.get(source, 0) for source, end in reach.items()}
        lacking = {source: count for source, count in behind.items() if count > 0}
        if not lacking:
            return lake
        if time.monotonic() > deadline:
            (topic, partition), count = max(lacking.items(), key=lambda item: item[1])
            raise LakeBehindError(
                f"the lake at {settings.lake} lacks {sum(lacking.values()):,} records that the twins include, "
                f"{count:,} of them of {topic}[{partition}]; is the lake writer running? (`twins status`)"
            )
        time.sleep(LAKE_POLL_S)
        lake.refresh()


def _is_kept(settings: Settings, name: str) -> bool:
    return name in {topic_name(settings, topic) for topic in SOURCES}


def _compare(settings: Settings, lake: Lake, live: _Live) -> Verification:
    """Bucket by bucket, so that memory holds one at a time."""
    included = _Included(settings, live)
    links = batch_fold.read_links(lake, included)
    handed_over = batch_fold.fold_links(lake, links, included)
    unsettled = _unsettled(settings, lake, live, links)
    buckets = lake.format.buckets
    published: dict[int, dict[str, LiveProfile]] = {bucket: {} for bucket in range(buckets)}
    for customer, profile in live.profiles.items():
        published[bucket_of(customer, buckets)][customer] = profile
    found = Verification()
    explain = _Explainer(settings)
    for bucket in range(buckets):
        stored = batch_fold.read(lake, bucket=bucket, included=included)
        found.receipts += len(stored.receipts.events)
        found.clicks += len(stored.clicks.rows)
        partials = {c: twin for c, twin in handed_over.items() if bucket_of(c, buckets) == bucket}
        batch = dict(batch_fold.fold_all(stored, links, partials))
        for customer in sorted({*batch, *published[bucket]}):
            if customer in unsettled:
                found.unsettled += 1
                continue
            found.total += 1
            twin, current = batch.get(customer), published[bucket].get(customer)
            if twin is None or current is None or twin.content_hash() != current.content_hash:
                found.divergent += 1
                if len(found.divergences) < EXPLAINED_MAX:
                    differences = explain(customer, twin, current, stored.symbols)
                    found.divergences.append(Divergence(customer, differences))
    return found


def _unsettled(settings: Settings, lake: Lake, live: _Live, links: Mapping[str, str]) -> set[str]:
    """Customers whose links are being handed over, or whose erasure is in the lake and not in the twins yet."""
    found: set[str] = set()
    if not live.transfers_settled:
        found |= {*links, *links.values()}
    requests = scan(lake.log.storage, lake.state, ERASURES, Selection(), lake.format.buckets)
    name = topic_name(settings, ERASURE)
    rows = requests.filter(pl.col("topic") == name).select("customer_id", "partition", "offset").collect()
    for customer, partition, offset in rows.iter_rows():
        if offset >= live.committed.get((name, partition), 0):
            found.add(customer)
    return found


class _Explainer:
    """Says in what a live twin and a recomputed one differ, as far as the published profile shows it."""

    def __init__(self, settings: Settings) -> None:
        self._writer = ProfileWriter(settings.currency)

    def __call__(
        self, customer: str, twin: Twin | None, profile: LiveProfile | None, symbols: Mapping[int, str]
    ) -> list[str]:
        if twin is None:
            return ["there is a profile, but nothing of her is in the lake"]
        if profile is None:
            return [f"the lake holds {twin.events_folded} events of her, but there is no profile"]
        found = []
        if profile.events_folded != twin.events_folded:
            found.append(f"events_folded: live {profile.events_folded}, lake {twin.events_folded}")
        live = msgspec.json.decode(profile.value)
        written = self._writer.write(customer, twin, ProductNames.none(), symbols)[1]
        batch = msgspec.json.decode(written)
        if live["as_of"] != batch["as_of"]:
            found.append(f"as_of: live {live['as_of']}, lake {instant_of(twin.last_second).isoformat()}")
        for part in COMPARED_PARTS:
            found += _differences(part, live["dna"].get(part), batch["dna"].get(part))
        return found or ["the hash alone: what differs is kept in the twin but not published"]


def _differences(place: str, live: Any, batch: Any) -> Iterator[str]:
    """Where two JSON values differ in what is the twin's own."""
    if place in NOT_OF_THE_TWIN:
        return
    if isinstance(live, dict) and isinstance(batch, dict):
        for name in sorted({*live, *batch}):
            yield from _differences(f"{place}.{name}", live.get(name), batch.get(name))
    elif live != batch:
        yield f"{place}: live {live}, lake {batch}"
