"""Kafka records to the rows of a lake table. What is bad to the hot lane is bad here, by the same code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from twin_store.click_columns import ClickDecoder
from twin_store.documents import read_customer, read_erasure
from twin_store.lake.layout import CATALOG, CLICKS, CUSTOMERS, ERASURES, INSTANT, LINE, TRANSACTIONS, Table
from twin_store.messages import Message
from twin_store.messages.codec import BadMessage, decode
from twin_store.messages.wire import struct_for
from twin_store.receipt_judge import ReceiptJudge
from twin_store.records import Record

MICROSECONDS = 1_000_000
READERS: dict[str, Callable[[Record], Message]] = {CUSTOMERS.name: read_customer, ERASURES.name: read_erasure}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass
class Batch:
    """Records of one Kafka partition in order of offset."""

    topic: str
    partition: int
    offsets: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)


@dataclass(frozen=True)
class Rows:
    """A batch as rows of a table: the Arrow table, and per row its instant (epoch microseconds) and subject.

    `skipped` is how many records did not fit their contract.
    """

    table: pa.Table
    at: np.ndarray
    subjects: list[str | None]
    skipped: int

    def take(self, keep: np.ndarray) -> "Rows":
        """The rows where `keep` is true."""
        if keep.all():
            return self
        places = np.flatnonzero(keep)
        subjects = [self.subjects[place] for place in places]
        return Rows(self.table.take(pa.array(places)), self.at[places], subjects, self.skipped)


class RowDecoder:
    """Decodes batches of any table, in one currency. Keeps memos between batches; not thread-safe."""

    def __init__(self, currency: str) -> None:
        self._receipts = ReceiptJudge(currency)
        self._clicks = ClickDecoder()
        self._parse_click = msgspec.json.Decoder(struct_for(CLICKS.model)).decode

    def decode(self, table: Table, batch: Batch) -> Rows:
        """The good records of a batch as rows of `table`."""
        if table is TRANSACTIONS:
            receipts, sources, _ = self._receipts.accept(batch.records)
            return _rows(table, batch, sources, receipts, {"lines": _lines(receipts)})
        if table is CLICKS:
            sources = self._clicks.decode(batch.records).sources.tolist()
            clicks = [self._parse_click(batch.records[place].value or b"") for place in sources]
            return _rows(table, batch, sources, clicks, {})
        return _document_rows(table, batch)


@dataclass(frozen=True)
class _DeletedProduct:
    """What a null value in the catalogue says: from when the record arrived, there is no such product."""

    sku: str
    updated_at: datetime


def _document_rows(table: Table, batch: Batch) -> Rows:
    sources: list[int] = []
    messages: list[Any] = []
    values: list[str | None] = []
    for place, record in enumerate(batch.records):
        try:
            message, value = _document(table, record)
        except (BadMessage, UnicodeDecodeError):
            continue
        sources.append(place)
        messages.append(message)
        values.append(value)
    return _rows(table, batch, sources, messages, {"value": pa.array(values, pa.string())})


def _document(table: Table, record: Record) -> tuple[Any, str | None]:
    """The message and its JSON text. Raises `BadMessage` if it does not fit its contract."""
    if table is CATALOG and record.value is None:
        if not record.key:
            raise BadMessage("a deletion must have the sku as its key", "key")
        instant = datetime.fromtimestamp(record.timestamp, tz=UTC)
        return _DeletedProduct(record.key.decode(), instant), None
    read = READERS.get(table.name)
    message = read(record) if read is not None else decode(table.model, record.value)
    assert record.value is not None
    return message, record.value.decode()


def _rows(
    table: Table, batch: Batch, sources: list[int], messages: list[Any], ready: dict[str, pa.Array]
) -> Rows:
    """Source columns, the table's own columns taken from the messages by name, and those that are `ready`."""
    arrays = {
        "topic": pa.repeat(pa.scalar(batch.topic), len(sources)),
        "partition": pa.repeat(pa.scalar(batch.partition, pa.int32()), len(sources)),
        "offset": pa.array([batch.offsets[place] for place in sources], pa.int64()),
        "received_at": _instants([batch.records[place].timestamp for place in sources]),
    }
    at = np.array([_microseconds(instant) for instant in map(attrgetter(table.at), messages)], dtype=np.int64)
    for name, kind in table.columns:
        if name in ready:
            continue
        if name == table.at:
            arrays[name] = pa.array(at).cast(INSTANT)
        else:
            arrays[name] = pa.array([getattr(message, name, None) for message in messages], kind)
    arrays |= ready
    schema = table.schema
    columns = [arrays[name] for name in schema.names]
    return Rows(
        pa.Table.from_arrays(columns, schema=schema),
        at,
        [_subject(table, message) for message in messages] if table.subject else [None] * len(messages),
        len(batch.records) - len(sources),
    )


def _lines(receipts: Sequence[Any]) -> pa.Array:
    """The lines of all receipts as one list<struct> column."""
    flat = [line for receipt in receipts for line in receipt.lines]
    fields = []
    for part in LINE:
        values = list(map(attrgetter(part.name), flat))
        fields.append(
            _lists(values, part.type) if pa.types.is_list(part.type) else pa.array(values, part.type)
        )
    lines = pa.StructArray.from_arrays(fields, fields=list(LINE))
    return pa.ListArray.from_arrays(_ends([receipt.lines for receipt in receipts]), lines)


def _lists(values: Sequence[Sequence[str]], kind: pa.ListType) -> pa.Array:
    """A list column from its parts: several times faster than arrow's own way where most lists are empty."""
    flat = [value for some in values if some for value in some]
    return pa.ListArray.from_arrays(_ends(values), pa.array(flat, kind.value_type))


def _ends(lists: Sequence[Sequence[Any]]) -> pa.Array:
    ends = np.zeros(len(lists) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, lists), dtype=np.int32, count=len(lists)), out=ends[1:])
    return pa.array(ends)


def _subject(table: Table, message: Any) -> str | None:
    for name in table.subject:
        value: str | None = getattr(message, name)
        if value is not None:
            return value
    return None


def _microseconds(instant: datetime) -> int:
    """Epoch microseconds, exactly: `timestamp()` is a float and rounds."""
    return (instant - _EPOCH) // _MICROSECOND


def _instants(seconds: list[float]) -> pa.Array:
    return pa.array(np.rint(np.array(seconds, dtype=np.float64) * MICROSECONDS).astype(np.int64)).cast(
        INSTANT
    )
