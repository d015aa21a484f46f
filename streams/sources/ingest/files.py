"""Reads a file in batches of text columns, whatever its format.

A batch holds one row a line: a receipt with nested lines gives as many. What cannot even be taken apart (a CSV
row with too few columns, a line that is not JSON) is rejected on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streams.errors import UsageError
from streams.sources.ingest.batches import Batch
from streams.sources.ingest.csv_file import csv_batches
from streams.sources.ingest.mapping import Mapping
from streams.sources.ingest.object_files import ndjson_batches
from streams.sources.ingest.parquet_file import parquet_batches

READERS = {"csv": csv_batches, "parquet": parquet_batches, "ndjson": ndjson_batches}
FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet",
    ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "ndjson",
}  # fmt: skip


def read_batches(path: Path, mapping: Mapping) -> Iterator[Batch]:
    """The file's rows in order. A name that ends in `.gz` is decompressed.

    Raises:
        UsageError: when the file, its format or a mapped column is not there.
        IngestError: when the file cannot be read on.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    return READERS[mapping.format or _format_of(path)](path, mapping)


def _format_of(path: Path) -> str:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"{path}: cannot tell the format from {suffix!r}; set format in the mapping")
    return FORMATS[suffix]
