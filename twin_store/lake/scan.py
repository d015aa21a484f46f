"""One table of the lake as a lazy frame: only the files that can matter, less what is erased."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow.dataset as pads

from twin_store.lake.layout import ERASABLE, MICROSECONDS_PER_DAY, Table, bucket_of
from twin_store.lake.manifest import DataFile, LakeState
from twin_store.lake.storage import Storage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INSTANT = pl.Datetime("us", "UTC")
_OWNER, _ERASED_UNTIL = "_owner", "_erased_until"


@dataclass(frozen=True)
class Selection:
    """Which rows: `from_` (included) to `until` (excluded) in the table's own time, of some customers or one bucket.

    Instants must have a time zone.
    """

    from_: datetime | None = None
    until: datetime | None = None
    customers: Collection[str] | None = None
    bucket: int | None = None

    def files(self, table: Table, state: LakeState, buckets: int) -> list[DataFile]:
        """The files of `table` that can hold such rows."""
        first = -1 if self.from_ is None else _microseconds(self.from_) // MICROSECONDS_PER_DAY
        # The instant before `until`, because that one is excluded and may begin a day.
        last = None if self.until is None else (_microseconds(self.until) - 1) // MICROSECONDS_PER_DAY
        wanted = self._buckets(table, buckets)
        return [
            file
            for file in state.files
            if file.table == table.name
            and file.day >= first
            and (last is None or file.day <= last)
            and (wanted is None or file.bucket in wanted)
        ]

    def _buckets(self, table: Table, buckets: int) -> set[int] | None:
        if not table.subject:
            return None
        if self.customers is not None:
            return {bucket_of(customer, buckets) for customer in self.customers}
        return None if self.bucket is None else {self.bucket}

    def predicate(self, table: Table) -> pl.Expr:
        """The rows themselves."""
        at = pl.col(table.at)
        kept = pl.lit(True)
        if self.from_ is not None:
            kept &= at >= pl.lit(self.from_.astimezone(UTC), _INSTANT)
        if self.until is not None:
            kept &= at < pl.lit(self.until.astimezone(UTC), _INSTANT)
        if self.customers is not None and table.subject:
            kept &= owner(table).is_in(list(self.customers))
        return kept


def scan(
    storage: Storage, state: LakeState, table: Table, selection: Selection, buckets: int
) -> pl.LazyFrame:
    """The selected rows of one table, in no particular order."""
    files = selection.files(table, state, buckets)
    frame = _open(storage, table, files).filter(selection.predicate(table))
    return _without_erased(frame, table, state)


def owner(table: Table) -> pl.Expr:
    """Whose a row is."""
    return pl.coalesce(*table.subject)


def decoded(frame: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """The frame with the table's `decoded` fields taken out of the JSON text."""
    fields = [pl.Field(name, kind) for name, kind in table.decoded.items()]
    return frame.with_columns(pl.col("value").str.json_decode(pl.Struct(fields)).struct.unnest())


def latest(frame: pl.LazyFrame, table: Table, key: str) -> pl.LazyFrame:
    """Of each `key` the row that is newest in the table's time, then in the order of Kafka."""
    ordered = frame.sort(table.at, "topic", "partition", "offset")
    return ordered.unique(subset=key, keep="last", maintain_order=True)


def _open(storage: Storage, table: Table, files: list[DataFile]) -> pl.LazyFrame:
    empty = pl.from_arrow(table.schema.empty_table())
    assert isinstance(empty, pl.DataFrame)
    if not files:
        return empty.lazy()
    paths = [storage.full(file.path) for file in files]
    if storage.is_local:
        return pl.scan_parquet(
            paths,
            schema=empty.schema,
            missing_columns="insert",
            extra_columns="ignore",
            hive_partitioning=False,
            glob=False,
        )
    source = pads.dataset(paths, schema=table.schema, format="parquet", filesystem=storage.arrow_filesystem)
    return pl.scan_pyarrow_dataset(source)


def _without_erased(frame: pl.LazyFrame, table: Table, state: LakeState) -> pl.LazyFrame:
    """What an erasure forbids and no generation has removed yet.

    The files of a generation are clean of its erasures, so mostly there is nothing to do.
    """
    if table not in ERASABLE or not state.erasures or not (state.tail or state.pending_erasures):
        return frame
    limits = pl.LazyFrame(
        {_OWNER: list(state.erasures), _ERASED_UNTIL: list(state.erasures.values())},
        schema={_OWNER: pl.String, _ERASED_UNTIL: pl.Int64},
    ).with_columns(pl.col(_ERASED_UNTIL).cast(_INSTANT))
    kept = pl.col(_ERASED_UNTIL).is_null() | (pl.col(table.at) > pl.col(_ERASED_UNTIL))
    joined = frame.with_columns(owner(table).alias(_OWNER)).join(limits, on=_OWNER, how="left")
    return joined.filter(kept).drop(_OWNER, _ERASED_UNTIL)


def _microseconds(instant: datetime) -> int:
    """Epoch microseconds. Raises `ValueError` without a time zone."""
    if instant.tzinfo is None:
        raise ValueError(
            f"{instant.isoformat()} has no time zone: give an instant such as 2024-05-01T00:00:00Z"
        )
    return (instant - _EPOCH) // _MICROSECOND
