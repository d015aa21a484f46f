"""Kafka records into the lake, each exactly once: buffered, written as files, committed by a manifest.

The writer knows no Kafka. It is told which partitions are its own and answers from which offset each must be
read; what it has buffered and not yet committed is lost in a crash, and read again from there.
"""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from twin_store.lake.files import write_rows
from twin_store.lake.layout import ERASURES, Table
from twin_store.lake.manifest import LakeLog, LakeState, Manifest, OvertakenError, Source
from twin_store.lake.rows import Batch, RowDecoder, Rows
from twin_store.lake.storage import LakeError
from twin_store.records import Record

EVENTS_MAX = 50_000
BYTES_MAX = 64 * 1024 * 1024
AGE_MAX_S = 30.0
# A flush that took longer may find its files cleaned away as orphans: it must not commit them any more.
FLUSH_MAX_S = 900.0


@dataclass
class _Pending:
    """What is buffered of one partition: the records of [start, end)."""

    start: int
    end: int
    batch: Batch
    bytes: int = 0


@dataclass(frozen=True)
class Flushed:
    """What one flush did: rows and files written, records that were no good, and the offsets now in the lake.

    `overtaken` are partitions that another writer has taken further: read them again from these offsets.
    `manifests` is how many the lake had since its generation.
    """

    rows: int = 0
    files: int = 0
    skipped: int = 0
    dropped: int = 0
    ends: dict[Source, int] = field(default_factory=dict)
    overtaken: dict[Source, int] = field(default_factory=dict)
    has_erasures: bool = False
    manifests: int = 0


class LakeWriter:
    """Buffers records per Kafka partition and flushes them. One thread; any number of writers a lake."""

    def __init__(
        self,
        log: LakeLog,
        tables: Mapping[str, Table],
        topic_ids: Mapping[str, str] | None = None,
        *,
        events_max: int = EVENTS_MAX,
        age_max_s: float = AGE_MAX_S,
        bytes_max: int = BYTES_MAX,
    ) -> None:
        """`tables` says which table each Kafka topic fills, `topic_ids` what id Kafka has given it.

        Raises `LakeError` if `log` is of no lake yet.
        """
        found = log.format()
        if found is None:
            raise LakeError(f"there is no lake at {log.storage.url}: establish one first")
        self._log = log
        self._tables = tables
        self._topic_ids = topic_ids or {}
        self._buckets = found.buckets
        self._decoder = RowDecoder(found.currency)
        self._events_max, self._bytes_max, self._age_max_s = events_max, bytes_max, age_max_s
        self._pending: dict[Source, _Pending] = {}
        self._id = uuid.uuid4().hex
        self._events = 0
        self._bytes = 0
        self._oldest: float | None = None

    def assign(self, sources: Iterable[Source]) -> dict[Source, int]:
        """Take over partitions; the offset from which each must be read, as the manifests have it now.

        Raises:
            LakeError: if the lake has read a topic of the same name but another id.
        """
        state = self._log.load()
        starts = {source: state.end(source) for source in sources}
        for source in starts:
            reach = state.reaches.get(source)
            if reach is not None and reach.topic_id not in ("", self._topic_ids.get(source[0], "")):
                raise self._made_anew(source, reach.end)
        for (topic, partition), start in starts.items():
            self._pending[topic, partition] = _Pending(start, start, Batch(topic, partition))
        return starts

    def release(self, sources: Iterable[Source]) -> None:
        """Give up partitions and forget what is buffered of them."""
        for source in sources:
            self._forget(self._pending.pop(source, None))

    def owns(self, source: Source) -> bool:
        """Whether a partition is assigned: Kafka may hand over a record of one that was just given up."""
        return source in self._pending

    def sources(self) -> list[Source]:
        """The partitions that are assigned."""
        return list(self._pending)

    def append(
        self,
        topic: str,
        partition: int,
        offset: int,
        timestamp: float,
        key: bytes | None,
        value: bytes | None,
    ) -> None:
        """Buffer one record; `timestamp` in epoch seconds. Offsets of a partition rise.

        Raises:
            LakeError: if the lake has this offset already, so the topic cannot be the one it was.
        """
        pending = self._pending[topic, partition]
        if offset < pending.end:
            raise self._made_anew((topic, partition), pending.end)
        pending.end = offset + 1
        pending.batch.offsets.append(offset)
        pending.batch.records.append(Record(key, value, timestamp))
        size = len(value or b"")
        pending.bytes += size
        self._bytes += size
        self._events += 1
        if self._oldest is None:
            self._oldest = time.monotonic()

    def advance(self, topic: str, partition: int, offset: int) -> None:
        """Nothing more is before `offset`: the broker keeps the marks of transactions in between."""
        pending = self._pending.get((topic, partition))
        if pending is not None and pending.end < offset:
            pending.end = offset
            self._oldest = self._oldest or time.monotonic()

    def is_due(self) -> bool:
        """Whether enough is buffered, or what is buffered is old enough."""
        if self._oldest is None:
            return False
        full = self._events >= self._events_max or self._bytes >= self._bytes_max
        return full or time.monotonic() - self._oldest >= self._age_max_s

    def flush(self, only: Iterable[Source] | None = None) -> Flushed:
        """Commit what is buffered, of all partitions or `only` some.

        1. Read the manifests again: customers erased meanwhile are left out.
        2. Decode and write the data files of every partition.
        3. Create a manifest a partition; one that is overtaken is forgotten and reported.
        """
        began = time.time()
        wanted = self._pending.keys() if only is None else only
        moved = {
            source: pending
            for source in wanted
            if (pending := self._pending.get(source)) is not None and pending.end > pending.start
        }
        if not moved:
            return Flushed()
        state = self._log.load()
        manifests = {source: self._write(pending, state) for source, pending in moved.items()}
        overtaken = {}
        for source, manifest in manifests.items():
            if time.time() - began > FLUSH_MAX_S:
                raise LakeError(
                    f"writing to {self._log.storage.url} took over {FLUSH_MAX_S:.0f} s and was given up; start again"
                )
            try:
                self._log.append(manifest)
            except OvertakenError:
                overtaken[source] = manifest
        return self._settle(manifests, overtaken, len(state.tail) + len(manifests))

    def _made_anew(self, source: Source, end: int) -> LakeError:
        topic, partition = source
        return LakeError(
            f"the lake at {self._log.storage.url} is at offset {end} of {topic}[{partition}], but the topic was"
            " made anew since: point TWINS_LAKE_URL at a new place"
        )

    def _settle(
        self, manifests: dict[Source, Manifest], overtaken: dict[Source, Manifest], count: int
    ) -> Flushed:
        """Empty the buffers of what is committed; restart those that were overtaken where the lake is now."""
        for source in manifests:
            pending = self._pending[source]
            self._forget(pending)
            self._pending[source] = _Pending(pending.end, pending.end, Batch(*source))
        restarts = self.assign(overtaken) if overtaken else {}
        done = [manifest for source, manifest in manifests.items() if source not in overtaken]
        return Flushed(
            rows=sum(file.rows for manifest in done for file in manifest.files),
            files=sum(len(manifest.files) for manifest in done),
            skipped=sum(manifest.skipped for manifest in done),
            dropped=sum(manifest.dropped for manifest in done),
            ends={(manifest.topic, manifest.partition): manifest.end for manifest in done},
            overtaken=restarts,
            has_erasures=any(manifest.erasures for manifest in done),
            manifests=count,
        )

    def _write(self, pending: _Pending, state: LakeState) -> Manifest:
        batch = pending.batch
        table = self._tables[batch.topic]
        rows = self._decoder.decode(table, batch)
        kept = rows if table is ERASURES else rows.take(_allowed(rows, state.erasures))
        stem = f"{batch.topic}-{batch.partition}-{pending.start}-{pending.end}"
        files = write_rows(self._log.storage, table, kept, self._buckets, stem)
        return Manifest(
            topic=batch.topic,
            partition=batch.partition,
            start=pending.start,
            end=pending.end,
            files=files,
            skipped=rows.skipped,
            dropped=len(rows.at) - len(kept.at),
            erasures=_requests(rows) if table is ERASURES else {},
            writer=self._id,
            written_at=time.time(),
            topic_id=self._topic_ids.get(batch.topic, ""),
        )

    def _forget(self, pending: _Pending | None) -> None:
        if pending is not None:
            self._events -= len(pending.batch.records)
            self._bytes -= pending.bytes
        if self._events == 0:
            self._oldest = None


def _allowed(rows: Rows, erasures: Mapping[str, int]) -> np.ndarray:
    """Which rows are of nobody erased, or came after the erasure."""
    limits = [-1 if who is None else erasures.get(who, -1) for who in rows.subjects]
    return np.asarray(rows.at > np.array(limits, dtype=np.int64))


def _requests(rows: Rows) -> dict[str, int]:
    """The latest request for each customer."""
    latest: dict[str, int] = {}
    for who, at in zip(rows.subjects, rows.at.tolist(), strict=True):
        assert who is not None
        latest[who] = max(at, latest.get(who, at))
    return latest
