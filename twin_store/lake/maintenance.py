"""The next generation of a lake: small files merged, erased customers gone. And the sweeping-up after it.

A generation is prepared beside the live one and published in one step, so a reader sees the old files or the new
ones, never both. If somebody else published first, or a file was erased meanwhile, it is prepared again.
"""

import math
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from twin_store.lake.erasure import doubtful_files, holds_erased, rows_kept, union, with_other_names
from twin_store.lake.files import sort_order, write_file
from twin_store.lake.layout import TABLES
from twin_store.lake.manifest import DataFile, Generation, LakeLog, LakeState, OvertakenError, Superseded
from twin_store.lake.rows import MICROSECONDS
from twin_store.lake.storage import DRAFTS_FOLDER, FileGoneError, LakeError, Storage, stamped_at

TARGET_BYTES = 32 * 1024 * 1024
TIER_BYTES = 64 * 1024
TIER_FACTOR = 8
GRACE_S = 24 * 3_600.0
# Generations list what they put out of use so long; a file that lay unused longer is an orphan like any other.
SUPERSEDED_KEPT_S = 7 * 24 * 3_600.0
_ATTEMPTS_MAX = 5


@dataclass(frozen=True)
class Maintained:
    """What one run did. `generation` is the one in force afterwards; nothing to do publishes none."""

    generation: int
    files_before: int
    files_after: int
    rows_erased: int
    files_removed: int
    log_objects_removed: int


def compact(
    log: LakeLog,
    *,
    target_bytes: int = TARGET_BYTES,
    files_min: int = 2,
    tiered: bool = False,
    grace_s: float | None = GRACE_S,
) -> Maintained:
    """Merge the files of each day and bucket that has `files_min` or more smaller than `target_bytes`.

    With `tiered`, only files of about the same size are merged, so that a row is rewritten a few times in its
    life however often this runs. Erasures that are pending are carried out as well. Files out of use for
    `grace_s` seconds are removed (None: none are, which saves listing the whole lake): a reader that began
    earlier than that fails and must be started again.
    """
    if grace_s is not None and grace_s > SUPERSEDED_KEPT_S:
        raise ValueError(f"grace_s is {grace_s:.0f}: at most {SUPERSEDED_KEPT_S:.0f} seconds are remembered")
    done = _publish_next(log, _Merging(target_bytes, files_min, tiered))
    if grace_s is None:
        return done
    before = time.time() - grace_s
    logs, data = log.obsolete(before), unused_files(log, before)
    log.storage.delete([*logs, *data])
    return replace(done, files_removed=len(data), log_objects_removed=len(logs))


def erase(log: LakeLog, customers: Mapping[str, datetime] | None = None) -> Maintained:
    """Forget what the erasures in the lake, and `customers` up to their instants, ask.

    The files that held them, and all that are out of use, are removed at once: a reader that is at one of
    them fails and must be started again.
    """
    state = log.load()
    asked = {who: int(until.timestamp() * MICROSECONDS) for who, until in (customers or {}).items()}
    if not (asked or state.pending_erasures):
        return Maintained(state.generation.number, len(state.files), len(state.files), 0, 0, 0)
    done = _publish_next(log, None, asked)
    data = [file.path for file in log.load().generation.superseded]
    log.storage.delete(data)
    return replace(done, files_removed=len(data))


def unused_files(log: LakeLog, before: float) -> list[str]:
    """Files, no younger than `before` (epoch seconds), that no reader knows who loaded the lake since then.

    They were superseded, or a writer died before it committed them.
    """
    listed = [name for folder in (*TABLES, DRAFTS_FOLDER) for name in log.storage.names(folder)]
    # Loaded after listing: what a writer commits in between is in the state and so kept.
    state = log.load()
    known = {file.path for file in state.files}
    known.update(file.path for file in state.generation.superseded if file.at > before)
    return [name for name in listed if name not in known and stamped_at(name) <= before]


@dataclass(frozen=True)
class _Merging:
    """Which files are merged: those below `target_bytes`, `files_min` at a time or more."""

    target_bytes: int
    files_min: int
    tiered: bool

    def place(self, file: DataFile) -> tuple[str, int, int, int]:
        """Files of one place may become one file."""
        tier = max(0, int(math.log(max(file.bytes, 1) / TIER_BYTES, TIER_FACTOR))) if self.tiered else 0
        return file.table, file.day, file.bucket, tier


def _publish_next(
    log: LakeLog, merging: _Merging | None, asked: Mapping[str, int] | None = None
) -> Maintained:
    for _ in range(_ATTEMPTS_MAX):
        state = log.load()
        work = _Work(log, _with_requests(log, state, asked or {}))
        try:
            work.erase()
            if merging is not None:
                work.merge(merging)
            if not work.is_needed():
                return work.report(state.generation.number)
            log.publish(work.generation())
        except (OvertakenError, FileGoneError):
            work.abandon()
            continue
        return work.report(state.generation.number + 1)
    raise LakeError(
        f"{_ATTEMPTS_MAX} times somebody else published a generation of {log.storage.url} first: run it again"
        " when no other compaction is running"
    )


def _with_requests(log: LakeLog, state: LakeState, asked: Mapping[str, int]) -> LakeState:
    """The state with `asked`, and the other names of everybody whose erasure is pending, among its erasures."""
    found = log.format()
    state = replace(state, erasures=union(state.erasures, asked))
    if found is None or not state.pending_erasures:
        return state
    named = with_other_names(log.storage, state, found.buckets, state.pending_erasures)
    return replace(state, erasures=union(state.erasures, named))


class _Work:
    """One attempt at the next generation."""

    def __init__(self, log: LakeLog, state: LakeState) -> None:
        self._log, self._state = log, state
        self._storage: Storage = log.storage
        self._files = {file.path: file for file in state.files}
        self._written: list[DataFile] = []
        self._rows_erased = 0
        found = log.format()
        self._buckets = found.buckets if found else 1

    def erase(self) -> None:
        """Rewrite the files that hold rows of erased customers without them."""
        for file, erasures in doubtful_files(self._state, self._buckets):
            if not holds_erased(self._storage, file, erasures):
                continue
            table = TABLES[file.table]
            rows = self._storage.read_table(file.path)
            kept = rows.filter(pa.array(rows_kept(table, rows, erasures)))
            self._rows_erased += rows.num_rows - kept.num_rows
            self._replace([file], [kept] if kept.num_rows else [])

    def merge(self, merging: _Merging) -> None:
        """Merge small files of the same day and bucket."""
        places: dict[tuple[str, int, int, int], list[DataFile]] = defaultdict(list)
        for file in self._files.values():
            if file.bytes < merging.target_bytes:
                places[merging.place(file)].append(file)
        for small in places.values():
            if len(small) >= merging.files_min:
                for group in _groups(small, merging.target_bytes):
                    parts = [self._storage.read_table(file.path) for file in group]
                    self._replace(group, [pa.concat_tables(parts)])

    def _replace(self, old: list[DataFile], new: list[pa.Table]) -> None:
        table = TABLES[old[0].table]
        for file in old:
            del self._files[file.path]
        for rows in new:
            ordered = rows.take(sort_order(table, rows))
            written = write_file(self._storage, table, ordered, old[0].day, old[0].bucket, "merged")
            self._files[written.path] = written
            self._written.append(written)

    def is_needed(self) -> bool:
        """Whether the generation would differ from what readers see now, or shorten the chains."""
        return bool(self._written or self._rows_erased or self._state.tail or self._state.pending_erasures)

    def generation(self) -> Generation:
        """The next generation, ready to publish."""
        now, last = time.time(), self._state.generation
        gone = [file.path for file in self._state.files if file.path not in self._files]
        return Generation(
            number=last.number + 1,
            reaches=list(self._state.reaches.values()),
            files=sorted(self._files.values(), key=lambda file: file.path),
            erasures=self._state.erasures,
            superseded=[
                *(file for file in last.superseded if file.at > now - SUPERSEDED_KEPT_S),
                *(Superseded(path, now) for path in gone),
            ],
            writer=uuid.uuid4().hex,
            written_at=now,
        )

    def abandon(self) -> None:
        """Remove what this attempt wrote."""
        self._log.storage.delete(file.path for file in self._written)

    def report(self, generation: int) -> Maintained:
        """What this attempt did; `generation` is the one in force now."""
        return Maintained(generation, len(self._state.files), len(self._files), self._rows_erased, 0, 0)


def _groups(files: list[DataFile], target_bytes: int) -> Iterator[list[DataFile]]:
    """Two or more files at a time, until they add up to `target_bytes`."""
    group: list[DataFile] = []
    for file in files:
        group.append(file)
        if sum(member.bytes for member in group) >= target_bytes:
            if len(group) > 1:
                yield group
            group = []
    if len(group) > 1:
        yield group
