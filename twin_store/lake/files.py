"""Rows to Parquet files: one a day and bucket, under names that nobody else uses."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twin_store.lake.layout import MICROSECONDS_PER_DAY, Table, bucket_of, folder_of
from twin_store.lake.manifest import DataFile
from twin_store.lake.rows import Rows
from twin_store.lake.storage import Storage, stamp


def write_rows(storage: Storage, table: Table, rows: Rows, buckets: int, stem: str) -> list[DataFile]:
    """Write `rows` into the folders of their days and buckets. `stem` begins the files' names."""
    if rows.table.num_rows == 0:
        return []
    folders = rows.at // MICROSECONDS_PER_DAY * buckets + _buckets(rows.subjects, buckets)
    order = sort_order(table, rows.table, pa.array(folders))
    ordered, folders = rows.table.take(order), folders[order.to_numpy()]
    starts = np.flatnonzero(np.diff(folders, prepend=folders[0] - 1))
    ends = np.append(starts[1:], len(folders))
    return [
        write_file(
            storage, table, ordered.slice(start, end - start), *divmod(int(folders[start]), buckets), stem
        )
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def write_file(storage: Storage, table: Table, rows: pa.Table, day: int, bucket: int, stem: str) -> DataFile:
    """Write one file of rows, in `sort_order`, that all belong to `day` and `bucket`."""
    path = f"{folder_of(table.name, day, bucket)}/{stem}-{stamp()}.parquet"
    size = storage.write_table(path, rows)
    return DataFile(path, table.name, day, bucket, rows.num_rows, size)


def sort_order(table: Table, rows: pa.Table, folders: pa.Array | None = None) -> pa.Array:
    """The places of `rows` in the order of a file, within `folders` where given.

    By whose they are, so that a read of one customer skips the row groups of the others; then by source.
    """
    names = [*table.subject, "topic", "partition", "offset"]
    keys = rows.select(names)
    if folders is not None:
        keys = keys.append_column("folder", folders)
        names = ["folder", *names]
    return pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in names])


def subjects_of(table: Table, rows: pa.Table) -> pa.ChunkedArray:
    """Whose each row is: the first of the table's subject columns that is set."""
    return pc.coalesce(*(rows[name] for name in table.subject))


def _buckets(subjects: Sequence[str | None], buckets: int) -> np.ndarray:
    chosen = [0 if subject is None else bucket_of(subject, buckets) for subject in subjects]
    return np.array(chosen, dtype=np.int64)
