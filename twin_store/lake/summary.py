"""A lake in a few numbers: what it holds, from when to when, and how far it has read."""

from collections import defaultdict
from dataclasses import dataclass

from twin_store.lake.layout import TABLES, day_text
from twin_store.lake.manifest import DataFile, Reach
from twin_store.lake.reader import Lake


@dataclass(frozen=True)
class TableSummary:
    """One table: its size, and the first and last day it has rows of, as `2024-05-01`."""

    table: str
    rows: int
    files: int
    bytes: int
    first_day: str
    last_day: str


@dataclass(frozen=True)
class LakeSummary:
    """One lake. `manifests` were committed since the generation; `erasures_pending` are hidden, not yet removed."""

    url: str
    currency: str
    buckets: int
    generation: int
    manifests: int
    erased: int
    erasures_pending: int
    tables: tuple[TableSummary, ...]
    partitions: tuple[Reach, ...]


def summarise(lake: Lake) -> LakeSummary:
    """The numbers of a lake, from its manifests alone."""
    state = lake.state
    by_table: dict[str, list[DataFile]] = defaultdict(list)
    for file in state.files:
        by_table[file.table].append(file)
    return LakeSummary(
        url=lake.log.storage.url,
        currency=lake.format.currency,
        buckets=lake.format.buckets,
        generation=state.generation.number,
        manifests=len(state.tail),
        erased=len(state.erasures),
        erasures_pending=len(state.pending_erasures),
        tables=tuple(_summary(name, by_table[name]) for name in TABLES if name in by_table),
        partitions=tuple(sorted(state.reaches.values(), key=lambda reach: (reach.topic, reach.partition))),
    )


def _summary(table: str, files: list[DataFile]) -> TableSummary:
    days = [file.day for file in files]
    return TableSummary(
        table,
        rows=sum(file.rows for file in files),
        files=len(files),
        bytes=sum(file.bytes for file in files),
        first_day=day_text(min(days)),
        last_day=day_text(max(days)),
    )
