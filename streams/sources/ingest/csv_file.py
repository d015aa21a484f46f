"""CSV files, a row a line. Row numbers are lines of the file, as an editor counts them: the header is line 1."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from streams.sources.ingest.batches import BATCH_ROWS, Batch, check_columns, field_frame, open_bytes
from streams.sources.ingest.mapping import Mapping, columns_of
from streams.sources.ingest.rejects import IngestError, Reject


def csv_batches(path: Path, mapping: Mapping) -> Iterator[Batch]:
    """The file in batches. Raises as `files.read_batches`."""
    stream, raw = open_bytes(path)
    options = mapping.csv
    # A byte of another encoding must spoil its row, not the whole file: `values` finds the replacement.
    with raw, io.TextIOWrapper(stream, options.encoding, errors="replace", newline="") as text:
        reader = csv.reader(text, delimiter=options.separator, quotechar=options.quote)
        header = [name.strip() for name in next(reader, [])]
        check_columns(path, header, mapping)
        numbered = _numbered(reader)
        try:
            while rows := list(islice(numbered, BATCH_ROWS)):
                yield _batch(rows, header, mapping, raw.tell())
        except csv.Error as error:
            raise IngestError(
                f"{path}, row {reader.line_num}: {error}; is a quote open? Set csv.quote in the mapping"
            ) from None


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with the line of the file on which they begin."""
    line = reader.line_num + 1
    for row in reader:
        if row:
            yield line, row
        line = reader.line_num + 1


def _batch(rows: list[tuple[int, list[str]]], header: list[str], mapping: Mapping, bytes_read: int) -> Batch:
    malformed = [
        Reject(
            number, f"has {len(row)} columns, the header has {len(header)}", content={"row": ",".join(row)}
        )
        for number, row in rows
        if len(row) != len(header)
    ]
    if malformed:
        rows = [(number, row) for number, row in rows if len(row) == len(header)]
    columns = list(zip(*(row for _, row in rows), strict=True)) or [()] * len(header)
    mapped = sorted({name for source in mapping.sources().values() for name in columns_of(source)})
    texts = pl.DataFrame({name: pl.Series(columns[header.index(name)], dtype=pl.String) for name in mapped})
    frame = field_frame(
        [number for number, _ in rows], texts.with_columns(pl.all().str.strip_chars()), mapping
    )
    return Batch(frame, malformed, bytes_read)
