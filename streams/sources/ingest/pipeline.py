"""A file to messages in time order: check every row, then sort on disk, and only then publish.

Three steps, each in bounded memory: rows are read in batches, checked, and spread over buckets by customer; each
bucket's receipts are made and written in time order; the buckets are merged by time.
"""

from __future__ import annotations

import heapq
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path

import msgspec
import polars as pl
import pyarrow.parquet as pq

from streams.dead_letters import Origin, dead_letter
from streams.errors import UsageError
from streams.settings import Settings
from streams.sources.ingest.batches import Batch
from streams.sources.ingest.buckets import Buckets, bucket_count
from streams.sources.ingest.details import Details
from streams.sources.ingest.files import read_batches
from streams.sources.ingest.mapping import Constant, Mapping
from streams.sources.ingest.receipts import make_receipts
from streams.sources.ingest.rejects import IngestError, Reject, RejectLog
from streams.sources.ingest.rows import ROW_COLUMNS, check_rows
from streams.sources.record import Record
from streams.topics import DEAD_LETTERS, TRANSACTIONS
from twin_store.messages.codec import BadMessage

STAGE = "ingest"
READ_ROWS = 2_000
"""Messages of a bucket that are held at a time while the buckets are merged."""


@dataclass
class Found:
    """What a file holds. `kinds` counts messages: sale, return, void, catalog, customer."""

    rows: int = 0
    without_customer: int = 0
    """Rows left out because the mapping says so."""
    bytes_read: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    first_at: int | None = None
    """Of the good rows, in microseconds since 1970."""


class Prepared:
    """A file whose every row has been checked, ready to be published."""

    def __init__(
        self, found: Found, rejects: RejectLog, details: list[Details], sorted_files: list[Path]
    ) -> None:
        self.found = found
        self.rejects = rejects
        self._details = details
        self._sorted_files = sorted_files

    def records(self) -> Iterator[Record]:
        """Catalogue and customers, then receipts; in time order."""
        details = [each.records(self.found.first_at) for each in self._details]
        receipts = [_read_sorted(path) for path in self._sorted_files]
        return heapq.merge(*details, *receipts, key=attrgetter("at_seconds"))

    def dead_letters(self, path: Path) -> Iterator[Record]:
        """A letter a rejected row. Its origin is `ingest:FILE/0/ROW`, which no replay can reach: mend the file."""
        last = None
        now = datetime.now(UTC)
        for reject in self.rejects.read():
            if reject.row != last:
                letter = dead_letter(
                    _origin(path, reject), STAGE, BadMessage(reject.reason, reject.column), now
                )
                yield Record(DEAD_LETTERS, b"%d" % reject.row, letter.to_wire(), int(now.timestamp()))
            last = reject.row


@contextmanager
def prepare(
    settings: Settings,
    path: Path,
    mapping: Mapping,
    rejects_path: Path,
    keep: int = 20,
    on_progress: Callable[[Found], None] = lambda found: None,
) -> Iterator[Prepared]:
    """Read and check a whole file; nothing is published. The result lives as long as the context.

    Args:
        settings: the deployment: its currency, and where there is room for the sorted rows.
        path: the file.
        mapping: what its columns are.
        rejects_path: where rows that cannot be used are written with their reasons.
        keep: how many of them to keep for showing.
        on_progress: called after each batch.

    Raises:
        UsageError: when the mapping does not fit the file or the deployment.
        IngestError: when the file cannot be read to its end.
    """
    _check_currency(mapping, settings.currency)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="ingest-", dir=settings.data_dir) as folder,
        RejectLog(rejects_path, keep) as rejects,
    ):
        found = Found()
        details = [
            Details(name, mapping) for name in ("catalog", "customer") if getattr(mapping, name) is not None
        ]
        buckets = Buckets(Path(folder), bucket_count(path))
        for batch in _read(path, mapping):
            _check(batch, mapping, settings.currency, found, rejects, details, buckets)
            on_progress(found)
        files = _sort(buckets, Path(folder), mapping, found, rejects)
        for each in details:
            found.kinds[each.section] += each.count()
        yield Prepared(found, rejects, details, files)


def _check_currency(mapping: Mapping, currency: str) -> None:
    said = mapping.receipt.currency if mapping.receipt else None
    if isinstance(said, Constant) and said.value != currency:
        raise UsageError(
            f"mapping: receipt.currency is {said.value}, but this deployment's is {currency}; set TWINS_CURRENCY"
        )


def _read(path: Path, mapping: Mapping) -> Iterator[Batch]:
    try:
        yield from read_batches(path, mapping)
    except (OSError, EOFError, zlib.error) as error:
        raise IngestError(f"{path}: cannot be read on: {error}") from None


def _check(
    batch: Batch,
    mapping: Mapping,
    currency: str,
    found: Found,
    rejects: RejectLog,
    details: list[Details],
    buckets: Buckets,
) -> None:
    """One batch: its bad rows to the rejects, its rows to the details and the buckets."""
    rows, wrong = check_rows(batch.frame, mapping, currency)
    for reject in sorted([*batch.malformed, *wrong], key=attrgetter("row")):
        rejects.add(reject)
    found.rows += batch.frame.height + len(batch.malformed)
    found.without_customer += batch.frame.height - rows.height
    found.bytes_read = batch.bytes_read
    for each in details:
        each.add(rows)
    if mapping.receipt is not None:
        # A bad row goes along as far as its receipt is known, to take the receipt's other rows with it.
        placed = rows.filter(pl.col("customer_id").is_not_null() & pl.col("key").is_not_null())
        buckets.add(placed.select(ROW_COLUMNS))
        first = rows.filter(~pl.col("bad"))["occurred_at"].min()
        if isinstance(first, int):
            found.first_at = first if found.first_at is None else min(first, found.first_at)


def _sort(buckets: Buckets, folder: Path, mapping: Mapping, found: Found, rejects: RejectLog) -> list[Path]:
    """Each bucket's messages in a file of their own, in time order."""
    files = []
    for number, rows in enumerate(buckets.read()):
        made = make_receipts(rows, mapping.list_separator)
        for reject in made.rejects:
            rejects.add(reject)
        found.kinds.update(made.kinds)
        found.lines += sum(record.lines for record in made.records)
        files.append(folder / f"sorted-{number:03d}.parquet")
        pl.DataFrame(
            [record[1:6] for record in made.records],
            schema={"key": pl.Binary, "value": pl.Binary, "at": pl.Int64, "lines": pl.Int64, "net": pl.Int64},
            orient="row",
        ).write_parquet(files[-1], row_group_size=READ_ROWS)
    return files


def _read_sorted(path: Path) -> Iterator[Record]:
    for batch in pq.ParquetFile(path).iter_batches(READ_ROWS):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield Record(TRANSACTIONS, *row)


def _origin(path: Path, reject: Reject) -> Origin:
    content = reject.content or {}
    return Origin(f"{STAGE}:{path.name}", 0, reject.row, None, msgspec.json.encode(content))
