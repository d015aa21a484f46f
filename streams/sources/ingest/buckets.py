"""Rows on disk, a customer's all in one bucket: what a file larger than memory is sorted with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

BUCKET_BYTES = 32 * 1024 * 1024  # of text; a bucket's rows must fit in memory several times
PACKED = {".parquet": 8, ".gz": 8}  # how much larger a file is as text
BUCKETS_MAX = 256
FLUSH_ROWS = 200_000


def bucket_count(path: Path) -> int:
    """How many buckets a file needs; one if it is not there."""
    size = path.stat().st_size if path.is_file() else 0
    return max(1, min(BUCKETS_MAX, -(-size * PACKED.get(path.suffix, 1) // BUCKET_BYTES)))


class Buckets:
    """Write once, then read bucket by bucket. One Parquet file a bucket, in `folder`."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._count = count
        self._writers: dict[int, pq.ParquetWriter] = {}
        self._waiting: list[pl.DataFrame] = []
        self._waiting_rows = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Rows with a `customer_id`, always of the same columns."""
        self._waiting.append(frame)
        self._waiting_rows += frame.height
        if self._waiting_rows >= FLUSH_ROWS:
            self._flush()

    def read(self) -> Iterator[pl.DataFrame]:
        """The rows of each bucket in the order they were added; nothing can be added any more."""
        self._flush()
        for writer in self._writers.values():
            writer.close()
        for bucket in sorted(self._writers):
            yield pl.read_parquet(self._path(bucket))

    def _path(self, bucket: int) -> Path:
        return self._folder / f"bucket-{bucket:03d}.parquet"

    def _flush(self) -> None:
        if not self._waiting_rows:
            return
        rows = pl.concat(self._waiting).with_columns(
            (pl.col("customer_id").hash() % self._count).alias("bucket")
        )
        self._waiting, self._waiting_rows = [], 0
        for (bucket,), part in rows.partition_by("bucket", as_dict=True, include_key=False).items():
            table: pa.Table = part.to_arrow()
            if bucket not in self._writers:
                self._writers[bucket] = pq.ParquetWriter(self._path(bucket), table.schema)
            self._writers[bucket].write_table(table)
