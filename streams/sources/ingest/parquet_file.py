"""Parquet files: typed columns to text, whole columns at a time where no lines are nested."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from streams.errors import UsageError
from streams.sources.ingest.batches import BATCH_ROWS, Batch, check_columns, field_frame
from streams.sources.ingest.mapping import Mapping, columns_of
from streams.sources.ingest.object_files import ObjectPicker, check_paths
from streams.sources.ingest.rejects import IngestError


def parquet_batches(path: Path, mapping: Mapping) -> Iterator[Batch]:
    """The file in batches, its rows numbered from 1. Raises as `files.read_batches`."""
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise IngestError(f"{path}: not a Parquet file that can be read: {error}") from None
    nested = mapping.receipt is not None and mapping.receipt.lines is not None
    size, rows = path.stat().st_size, max(file.metadata.num_rows, 1)
    read = 0
    for batch in _nested_batches(path, file, mapping) if nested else _flat_batches(path, file, mapping):
        read += batch.frame["row"].n_unique() + len(batch.malformed)
        batch.bytes_read = size * read // rows
        yield batch


def _nested_batches(path: Path, file: pq.ParquetFile, mapping: Mapping) -> Iterator[Batch]:
    picker = ObjectPicker(mapping)
    first = 1
    for table in file.iter_batches(BATCH_ROWS):
        rows = list(enumerate(table.to_pylist(), first))
        if first == 1:
            check_paths(path, [row for _, row in rows], mapping)
        first += len(rows)
        yield picker.batch(rows, [], 0)


def _flat_batches(path: Path, file: pq.ParquetFile, mapping: Mapping) -> Iterator[Batch]:
    check_columns(path, file.schema_arrow.names, mapping)
    columns = sorted({name for source in mapping.sources().values() for name in columns_of(source)})
    first = 1
    for table in file.iter_batches(BATCH_ROWS, columns=columns):
        frame = pl.from_arrow(pa.Table.from_batches([table]))
        assert isinstance(frame, pl.DataFrame)
        _check_times(path, frame, mapping)
        texts = frame.select(_text(name, dtype, mapping) for name, dtype in frame.schema.items())
        yield Batch(field_frame(range(first, first + frame.height), texts, mapping))
        first += frame.height


def _check_times(path: Path, frame: pl.DataFrame, mapping: Mapping) -> None:
    """A column of timestamps needs no pattern, and would not fit one."""
    for target, source in mapping.sources().items():
        if target.endswith(("occurred_at", "updated_at")) and mapping.time_format != "iso":
            for name in columns_of(source):
                if frame.schema[name].is_temporal():
                    raise UsageError(
                        f"mapping: {path.name} holds {name!r} as timestamps; leave time_format out"
                    )


def _text(name: str, dtype: pl.DataType, mapping: Mapping) -> pl.Expr:
    """A typed column as the text that the mapping's formats expect."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        text = column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f")
        if dtype.time_zone is not None:
            text = column.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.6f") + "Z"
    elif isinstance(dtype, pl.Date):
        text = column.dt.strftime("%Y-%m-%d")
    elif isinstance(dtype, pl.Boolean):
        text = pl.when(column).then(pl.lit("true")).when(~column).then(pl.lit("false"))
    elif isinstance(dtype, pl.List):
        text = column.cast(pl.List(pl.String)).list.join(mapping.list_separator)
    elif dtype.is_numeric():
        text = column.cast(pl.String).str.replace(".", mapping.decimal, literal=True)
    else:
        text = column.cast(pl.String).str.strip_chars()
    return text.alias(name)
