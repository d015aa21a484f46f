"""A batch of raw messages as integer columns: the decode step of the hot lane.

Good messages become table rows; each bad one becomes a `BadMessage` with its place, and the rest of the batch
goes on. What is bad here is bad everywhere: the lake uses the same decision.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np

from twin_store.dna.layout import (
    ACTIONS,
    CLICK_COLUMNS,
    EVENT_COLUMNS,
    EVENT_END,
    EVENT_START,
    KINDS,
    LINE_COLUMNS,
    LINE_MEASURE,
    LINE_SKU,
    M_COUPON,
    M_COUPON_LINES,
    M_DEAL_LINES,
    M_DISCOUNT,
    M_LINES,
    M_NET,
    M_PRICED_LINES,
    M_UNITS,
)
from twin_store.messages.base import INSTANT_SECONDS_MAX, MONEY_PATTERN, Message
from twin_store.messages.codec import BadMessage, decode, minor_digits, to_minor
from twin_store.messages.events import Click, Transaction
from twin_store.messages.wire import struct_for
from twin_store.symbols import MEMO_MAX, KeyMemo

FUTURE_SECONDS_MAX = 86_400  # a receipt dated later than this after it was published has a wrong clock
MONEY_FIELDS = ("unit_price", "discount", "coupon_discount", "net")
KNOWN_MAJOR = ("1.", "1")


class Record(NamedTuple):
    """The parts of a Kafka record that decoding needs. `timestamp` is epoch seconds, as the broker has it."""

    key: bytes | None
    value: bytes | None
    timestamp: float


@dataclass(frozen=True)
class ReceiptColumns:
    """Decoded receipts, returns and voids in order of arrival.

    Attributes:
        events: [n, EVENT_COLUMNS]; TWIN indexes `customers`, START and END index `lines`.
        lines: [m, LINE_COLUMNS].
        customers: the customers of this batch, each once.
        sources: [n] the record each event came from.
        symbols: every sku and visit string of the batch with its key.
        bad: (record index, error) of what is left out.
    """

    events: np.ndarray
    lines: np.ndarray
    customers: list[str]
    sources: np.ndarray
    symbols: dict[str, int]
    bad: list[tuple[int, BadMessage]]


@dataclass(frozen=True)
class ClickColumns:
    """Decoded clicks in order of arrival: rows [n, CLICK_COLUMNS], and `owners[i]` the twin of row i."""

    rows: np.ndarray
    owners: list[str]
    sources: np.ndarray
    symbols: dict[str, int]
    bad: list[tuple[int, BadMessage]]


class MoneyMemo(dict[str | None, int]):
    """`memo["12.34"]` is 1234 minor units, computed once a distinct string; None is 0.

    Raises:
        BadMessage: from a lookup of what is not a decimal string.
    """

    def __init__(self, currency: str) -> None:
        super().__init__()
        self._digits = minor_digits(currency)
        self[None] = 0

    def __missing__(self, text: str) -> int:
        if re.fullmatch(MONEY_PATTERN, text) is None:
            raise BadMessage(f"{text!r} is not a decimal string")
        if len(self) >= MEMO_MAX:
            self.clear()
            self[None] = 0
        minor = self[text] = to_minor(text, self._digits)
        return minor


def visit_name(channel: str, store_id: str | None) -> str:
    """The string whose key a visit has."""
    return f"{channel}/{store_id or ''}"


class ReceiptDecoder:
    """Decodes batches of `Transaction` records in one currency. Keeps memos between batches; not thread-safe."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._decode: Callable[[Any], Any] = msgspec.json.Decoder(struct_for(Transaction)).decode
        self._money = MoneyMemo(currency)
        self._ids = KeyMemo()
        self._skus = KeyMemo()
        self._visits = KeyMemo()

    def decode(self, records: Sequence[Record]) -> ReceiptColumns:
        """All records as columns; the bad ones apart."""
        good, sources, bad = self._parse(records)
        try:
            return self._columns(good, sources, bad)
        except BadMessage:
            good, sources = self._drop_bad_money(good, sources, bad)
            return self._columns(good, sources, bad)

    def accept(self, records: Sequence[Record]) -> tuple[list[Any], list[int]]:
        """The good records as `Transaction` structs, and which they are: exactly those that `decode` keeps."""
        good, sources, bad = self._parse(records)
        flat = [line for receipt in good for line in receipt.lines]
        try:
            for name in MONEY_FIELDS:
                for text in set(map(attrgetter(name), flat)):
                    self._money[text]
        except BadMessage:
            good, sources = self._drop_bad_money(good, sources, bad)
        return good, sources

    def _parse(self, records: Sequence[Record]) -> tuple[list[Any], list[int], list[tuple[int, BadMessage]]]:
        """Receipts that are good but for their money, which records they are, and the bad ones."""
        good: list[Any] = []
        sources: list[int] = []
        bad: list[tuple[int, BadMessage]] = []
        for index, record in enumerate(records):
            try:
                receipt = self._decode(record.value)
                self._check(receipt, record)
            except (msgspec.DecodeError, UnicodeDecodeError, BadMessage, TypeError) as error:
                bad.append((index, _explain(Transaction, record, error)))
            else:
                good.append(receipt)
                sources.append(index)
        return good, sources, bad

    def _drop_bad_money(
        self, receipts: list[Any], sources: list[int], bad: list[tuple[int, BadMessage]]
    ) -> tuple[list[Any], list[int]]:
        """Some money string is no number: move the receipts that hold one to `bad`, then the rest is clean."""
        keep = []
        for receipt, index in zip(receipts, sources, strict=True):
            wrong = self._money_error(receipt)
            if wrong is None:
                keep.append((receipt, index))
            else:
                bad.append((index, wrong))
        return [receipt for receipt, _ in keep], [index for _, index in keep]

    def _check(self, receipt: Any, record: Record) -> None:
        check_record(receipt, record, receipt.customer_id)
        if receipt.currency != self._currency:
            raise BadMessage(
                f"currency is {receipt.currency}, this deployment keeps {self._currency}", "currency"
            )
        if receipt.kind != "sale" and receipt.original_transaction_id is None:
            raise BadMessage(
                f"a {receipt.kind} must name the receipt it takes back", "original_transaction_id"
            )
        if not receipt.lines and receipt.kind != "void":
            raise BadMessage(f"a {receipt.kind} must have at least one line", "lines")

    def _money_error(self, receipt: Any) -> BadMessage | None:
        for number, line in enumerate(receipt.lines):
            for name in MONEY_FIELDS:
                try:
                    self._money[getattr(line, name)]
                except BadMessage as error:
                    return BadMessage(error.reason, f"lines[{number}].{name}")
        return None

    def _columns(
        self, receipts: list[Any], sources: list[int], bad: list[tuple[int, BadMessage]]
    ) -> ReceiptColumns:
        flat = [line for receipt in receipts for line in receipt.lines]
        lines, skus = self._line_columns(flat)
        customers: dict[str, int] = {}
        ids, visits = self._ids, self._visits
        visit_names = [visit_name(r.channel, r.store_id) for r in receipts]
        events = np.zeros((len(receipts), EVENT_COLUMNS), dtype=np.int64)
        if receipts:
            rows = [
                (
                    customers.setdefault(r.customer_id, len(customers)),
                    ids[r.transaction_id],
                    KINDS[r.kind],
                    int(r.occurred_at.timestamp()),
                    visits[name],
                    ids[r.original_transaction_id] if r.original_transaction_id is not None else 0,
                )
                for r, name in zip(receipts, visit_names, strict=True)
            ]
            events[:, :EVENT_START] = rows
            ends = np.cumsum([len(r.lines) for r in receipts])
            events[:, EVENT_END] = ends
            events[1:, EVENT_START] = ends[:-1]
        symbols = {sku: self._skus[sku] for sku in set(skus)}
        symbols.update((name, visits[name]) for name in set(visit_names))
        bad.sort(key=lambda item: item[0])
        return ReceiptColumns(events, lines, list(customers), np.array(sources, dtype=np.int64), symbols, bad)

    def _line_columns(self, flat: list[Any]) -> tuple[np.ndarray, list[str]]:
        lines = np.zeros((len(flat), LINE_COLUMNS), dtype=np.int64)
        if not flat:
            return lines, []
        # One list a field: several times cheaper than a tuple a line, and this is the hottest loop there is.
        money, sku_keys = self._money, self._skus
        for price in {line.unit_price for line in flat}:
            money[price]
        skus = [line.sku for line in flat]
        measures = lines[:, LINE_MEASURE:]
        lines[:, LINE_SKU] = [sku_keys[sku] for sku in skus]
        measures[:, M_LINES] = 1
        measures[:, M_UNITS] = np.rint(np.array([line.quantity for line in flat]) * 1000)
        measures[:, M_NET] = [money[line.net] for line in flat]
        measures[:, M_DISCOUNT] = [money[line.discount] for line in flat]
        measures[:, M_COUPON] = [money[line.coupon_discount] for line in flat]
        measures[:, M_DEAL_LINES] = measures[:, M_DISCOUNT] > 0
        measures[:, M_COUPON_LINES] = measures[:, M_COUPON] > 0
        measures[:, M_PRICED_LINES] = 1
        for column, field in ((M_DEAL_LINES, "promotion_ids"), (M_COUPON_LINES, "coupon_ids")):
            measures[[i for i, line in enumerate(flat) if getattr(line, field)], column] = 1
        measures[[i for i, line in enumerate(flat) if line.net is None], M_PRICED_LINES] = 0
        return lines, skus


class ClickDecoder:
    """Decodes batches of `Click` records. Keeps memos between batches; not thread-safe."""

    def __init__(self) -> None:
        self._decode: Callable[[Any], Any] = msgspec.json.Decoder(struct_for(Click)).decode
        self._ids = KeyMemo()
        self._skus = KeyMemo()

    def decode(self, records: Sequence[Record]) -> ClickColumns:
        """All records as columns; the bad ones apart."""
        rows: list[tuple[int, ...]] = []
        owners: list[str] = []
        sources: list[int] = []
        bad: list[tuple[int, BadMessage]] = []
        symbols: dict[str, int] = {}
        for index, record in enumerate(records):
            try:
                click = self._decode(record.value)
                owner = click.customer_id or click.anonymous_id
                if owner is None:
                    raise BadMessage("a click needs customer_id or anonymous_id")
                check_record(click, record, owner)
            except (msgspec.DecodeError, UnicodeDecodeError, BadMessage, TypeError) as error:
                bad.append((index, _explain(Click, record, error)))
                continue
            sku = 0
            if click.sku is not None:
                sku = symbols[click.sku] = self._skus[click.sku]
            rows.append(
                (
                    self._ids[click.event_id],
                    int(click.occurred_at.timestamp()),
                    self._ids[click.session_id],
                    ACTIONS[click.action],
                    sku,
                    round(click.quantity * 1000),
                )
            )
            owners.append(owner)
            sources.append(index)
        table = np.array(rows, dtype=np.int64).reshape(len(rows), CLICK_COLUMNS)
        return ClickColumns(table, owners, np.array(sources, dtype=np.int64), symbols, bad)


def check_record(message: Any, record: Record, owner: str) -> None:
    """What pydantic's validators check and msgspec does not, and what only the record knows.

    Raises:
        BadMessage: unknown major version, an instant out of range or in the record's future, or a key that
            is not the owner's id.
    """
    if not message.version.startswith(KNOWN_MAJOR[0]):
        raise BadMessage(f"unknown major version {message.version!r}; this reader knows 1.x", "version")
    check_instant(message.occurred_at, record.timestamp)
    if record.key != owner.encode():
        raise BadMessage("the record's key must be the id of the customer it is about", "key")


def check_instant(instant: datetime, published: float) -> None:
    """Refuse an instant outside the range of the contract or more than a day after it was published.

    Raises:
        BadMessage: one wrong clock would make every later event of its twin late.
    """
    second = instant.timestamp()
    if not 0 < second < INSTANT_SECONDS_MAX:
        raise BadMessage("instant is outside 1970-01-01 to 2100-01-01", "occurred_at")
    if second > published + FUTURE_SECONDS_MAX:
        raise BadMessage("instant is more than a day after the record was published", "occurred_at")


def _explain(model: type[Message], record: Record, error: Exception) -> BadMessage:
    """The contract's own words for what is wrong: pydantic names the field and the place."""
    if isinstance(error, BadMessage):
        return error
    try:
        decode(model, record.value)
    except BadMessage as reason:
        return reason
    return BadMessage(str(error))
