"""A deployment in one thread and without a broker: the real handler between topics that are lists.

Batches are cut anywhere; a transaction is committed, aborted, or dies before or after its commit; a member's disk may
be lost. Only the lane and Kafka itself are replaced here; their tests are in `tests/chaos`.
"""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Message

from streams.batch import Batch, Source
from streams.kafka import Headers, partition_for, topic_name
from streams.settings import Settings
from streams.topics import CLICKSTREAM, CUSTOMERS, ERASURE, PROFILES, STATE, TRANSACTIONS, Topic
from streams.updater.handler import COMPANIONS, Updater
from streams.updater.partition import PartitionState
from streams.updater.products import ProductLane
from twin_store import batch_fold
from twin_store.dna.profile import ProductNames
from twin_store.dna.twin import Twin
from twin_store.lake import Lake, LakeFormat, LakeLog, LakeWriter, Storage
from twin_store.lake.layout import table_of
from twin_store.messages import Message as Contract
from twin_store.store.memory import MemoryStore
from twin_store.store.twins import TwinStore

CLOCK = 1_750_000_000  # epoch seconds at which the first record is published; each later one a second later
SOURCES = (TRANSACTIONS, *COMPANIONS)
KEPT = (TRANSACTIONS, CLICKSTREAM, CUSTOMERS, ERASURE)


class Record(NamedTuple):
    """What a topic holds."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, Any]]
    second: int


@dataclass
class Outbox:
    """What a handler sends in one transaction."""

    settings: Settings
    sent: list[tuple[Topic, int, bytes | None, bytes | None, Headers]] = field(default_factory=list)

    def send(
        self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers = (), partition: int = -1
    ) -> None:
        if partition < 0:
            partition = partition_for(key or b"", self.settings.partitions)
        self.sent.append((topic, partition, key, value, headers))


class Deployment:
    """One updater with all partitions, and all that outlives it."""

    def __init__(
        self, settings: Settings, seed: int = 0, names: Callable[[], ProductNames] = ProductNames.none
    ) -> None:
        self.settings = settings
        self._names = names
        self._random = random.Random(seed)
        self._topics: dict[Source, list[Record]] = defaultdict(list)
        self._committed: dict[Source, int] = defaultdict(int)
        self._disks: dict[int, MemoryStore] = defaultdict(MemoryStore)
        self._clock = CLOCK
        self.start()

    def start(self) -> None:
        """A new process, on the disks that are there."""
        self.updater = Updater(self.settings, self._end, self._names, self._open, tick_share=math.inf)
        self._next = dict(self._committed)
        for partition in range(self.settings.partitions):
            committed = {t: o for (t, p), o in self._committed.items() if p == partition and o}
            self.updater.assigned(partition, committed)

    def publish(self, topic: Topic, key: str, message: Contract | bytes | None) -> None:
        """Append a record to the partition of its key."""
        value = message.to_wire() if isinstance(message, Contract) else message
        self._append(topic, partition_for(key.encode(), self.settings.partitions), key.encode(), value, ())

    def drain(self) -> None:
        """Fold all there is, each topic in one batch, until nothing more comes of it."""
        while self.waiting():
            assert self.transact(self.batch(10**9)) == "committed"

    def drain_through_faults(self, batch_max: int = 12) -> None:
        """Fold all there is in small batches of any mixture, some of which come to grief."""
        fates = ["committed"] * 12 + ["aborted", "killed before", "killed after", "disk lost"]
        while self.waiting():
            self.transact(self.batch(self._random.randint(1, batch_max)), self._random.choice(fates))

    def waiting(self) -> bool:
        """Whether something has not been handled: a record, or a tick of a partition's products."""
        return self.updater.due() or any(
            self._next.get(s, 0) < len(records) for s, records in self._sources()
        )

    def batch(self, most: int) -> Batch:
        """The next records: of each source a run, of all together at most so many."""
        batch = Batch()
        sources = self._sources()
        self._random.shuffle(sources)
        for source, records in sources:
            start = self._next.get(source, 0)
            end = min(len(records), start + most)
            most -= end - start
            if end > start:
                batch.records[source] = [self._message(source, offset) for offset in range(start, end)]
        return batch

    def transact(self, batch: Batch, fate: str = "committed") -> str:
        """What the lane does with a batch: all that was sent appears with the offsets, or nothing."""
        outbox = Outbox(self.settings)
        undone = self.updater.handle(batch, outbox)
        if fate == "aborted":
            self.updater.aborted()
            self._next = dict(self._committed)
            return fate
        if fate != "killed before":
            for source, messages in batch.records.items():
                self._next[source] = (messages[-1].offset() or 0) + 1
            for source, offset in self._next.items():
                done = undone.get(source, offset)
                self._committed[source] = self._committed[source] if done is None else done
            for sent in outbox.sent:
                self._append(*sent)
        if fate == "committed":
            self.updater.committed()
            return fate
        if fate == "disk lost":
            self._disks.clear()
        self.start()
        return fate

    def records(self, topic: Topic) -> list[Record]:
        """All records of a topic, in order of time."""
        found = [r for (t, _), records in self._topics.items() if t is topic for r in records]
        return sorted(found, key=lambda record: record.second)

    def newest(self, topic: Topic) -> dict[str, Any]:
        """What a compacted topic of JSON says by now."""
        found: dict[str, Any] = {}
        for record in self.records(topic):
            name = (record.key or b"").decode()
            found.pop(name, None)
            if record.value is not None:
                found[name] = json.loads(record.value)
        return found

    def hashes(self) -> dict[str, str]:
        """The content hash of every published profile."""
        return {customer: profile["content_hash"] for customer, profile in self.newest(PROFILES).items()}

    def recomputed(self, folder: Path) -> dict[str, Twin]:
        """Every twin as the lake gives it that holds these topics."""
        log = LakeLog(Storage(str(folder)))
        log.establish(LakeFormat(buckets=2, currency=self.settings.currency))
        tables = {topic_name(self.settings, topic): table_of(topic.message) for topic in KEPT}  # type: ignore[arg-type]
        writer = LakeWriter(log, tables)  # type: ignore[arg-type]
        kept = {(topic_name(self.settings, t), p): r for (t, p), r in self._topics.items() if t in KEPT}
        writer.assign(kept)
        for source, records in kept.items():
            for offset, record in enumerate(records):
                writer.append(*source, offset, record.second, record.key, record.value)
        writer.flush()
        lake = Lake(str(folder))
        links = batch_fold.read_links(lake)
        return dict(batch_fold.fold_all(batch_fold.read(lake), links, batch_fold.fold_links(lake, links)))

    def _sources(self) -> list[tuple[Source, list[Record]]]:
        return [(source, records) for source, records in self._topics.items() if source[0] in SOURCES]

    def _append(
        self, topic: Topic, partition: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        self._topics[topic, partition].append(Record(key, value, list(headers), self._clock))
        self._clock += 1

    def _message(self, source: Source, offset: int) -> Message:
        (topic, partition), record = source, self._topics[source][offset]
        name = topic_name(self.settings, topic)
        return Message(
            topic=name, partition=partition, offset=offset, key=record.key, value=record.value,
            timestamp=(2, record.second * 1000), headers=record.headers,
        )  # fmt: skip

    def _end(self, partition: int) -> int:
        return len(self._topics[STATE, partition])

    def _open(self, partition: int) -> PartitionState:
        """Bring the disk up to the end of the changelog, as a restore does."""
        disk, changelog = self._disks[partition], self._topics[STATE, partition]
        missed: Iterable[Record] = changelog[disk.position() :]
        disk.apply([(record.key or b"", record.value) for record in missed], len(changelog))
        twins = TwinStore(disk, hot_max=self._random.choice((1, 2, 100)))
        tick_rows = self._random.choice((0, 20, 10**6))  # each part by itself, some of them, or all at once
        products = ProductLane(self.settings, partition, disk, tick_s=0.0, tick_rows=tick_rows)
        return PartitionState(partition, twins, products)
