"""What every file reader makes: batches of text columns, named by the field they are mapped to."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

from streams.errors import UsageError
from streams.sources.ingest.mapping import Constant, Mapping, Source, columns_of, did_you_mean
from streams.sources.ingest.rejects import Reject

BATCH_ROWS = 20_000


@dataclass
class Batch:
    """Some rows: `frame` has `row` (see `Reject.row`), `item` (the line within the row) and a text column a
    mapped field, null where it is missing. `bytes_read` of the file are behind us."""

    frame: pl.DataFrame
    malformed: list[Reject] = field(default_factory=list)
    bytes_read: int = 0


def text_frame(
    fields: list[str], rows: list[int], items: list[int], values: list[list[str | None]]
) -> pl.DataFrame:
    """A batch's frame of one list of texts a field."""
    numbers = {"row": pl.Series(rows, dtype=pl.UInt64), "item": pl.Series(items, dtype=pl.UInt32)}
    texts = {name: pl.Series(column, dtype=pl.String) for name, column in zip(fields, values, strict=True)}
    return pl.DataFrame(numbers | texts)


def open_bytes(path: Path) -> tuple[BinaryIO, BinaryIO]:
    """The file's bytes, decompressed, and the raw file, whose position tells how far we are."""
    raw = path.open("rb")
    return (cast(BinaryIO, gzip.open(raw)), raw) if path.suffix == ".gz" else (raw, raw)


def field_frame(rows: list[int] | range, columns: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """A batch's frame from the file's own text columns, where a row is a line."""
    present = columns.with_columns(pl.when(~pl.all().is_in(mapping.missing)).then(pl.all()))
    fields = present.select(_field(target, source) for target, source in mapping.sources().items())
    numbers = pl.DataFrame({"row": pl.Series(rows, dtype=pl.UInt64)}).with_columns(item=pl.lit(0, pl.UInt32))
    return numbers.hstack(fields)


def _field(target: str, source: Source) -> pl.Expr:
    if isinstance(source, Constant):
        return pl.lit(source.value).alias(target)
    return pl.concat_str(columns_of(source), separator=between(target)).alias(target)


def between(target: str) -> str:
    """What joins several columns into one field: ids a hyphen, dates, times and other texts a blank.

    The field is null if one of them is, because half an id is another id.
    """
    return "-" if target.endswith(("_id", ".sku")) else " "


def check_columns(path: Path, columns: list[str], mapping: Mapping) -> None:
    """Raises `UsageError` for the first mapped column that the file does not have."""
    for target, source in mapping.sources().items():
        for name in columns_of(source):
            if name not in columns:
                raise no_column(path, target, name, columns)


def no_column(path: Path, target: str, name: str, columns: list[str]) -> UsageError:
    """The error about a mapped column that the file does not have."""
    hint = did_you_mean(name, columns) or f"; it has {', '.join(columns[:30])}"
    return UsageError(f"mapping: {target}: {path.name} has no column {name!r}{hint}")
