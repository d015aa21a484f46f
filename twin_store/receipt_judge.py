"""The judge of receipts: any message, by the contract's full decoder. What is bad here is bad everywhere.

The hot lane asks it about the messages that its scanner leaves, the lake about all.
"""

import re
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np

from twin_store.dna.layout import (
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
from twin_store.messages.base import MONEY_PATTERN
from twin_store.messages.codec import BadMessage, minor_digits, to_minor
from twin_store.messages.events import Transaction
from twin_store.messages.wire import struct_for
from twin_store.records import Record, check_record, explain
from twin_store.symbols import MEMO_MAX, KeyMemo, visit_name

MONEY_FIELDS = ("unit_price", "discount", "coupon_discount", "net")
_MONEY = re.compile(MONEY_PATTERN)


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
        if _MONEY.fullmatch(text) is None:
            raise BadMessage(f"{text!r} is not a decimal string")
        if len(self) >= MEMO_MAX:
            self.clear()
            self[None] = 0
        minor = self[text] = to_minor(text, self._digits)
        return minor


class Judged(NamedTuple):
    """Good receipts as columns, as `columns.ReceiptColumns` has them, and the bad messages."""

    events: np.ndarray
    lines: np.ndarray
    customers: list[str]
    sources: np.ndarray
    symbols: dict[str, int]
    bad: list[tuple[int, BadMessage]]


class ReceiptJudge:
    """Decodes `Transaction` records in one currency. Keeps memos between batches; not thread-safe."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._decode: Callable[[Any], Any] = msgspec.json.Decoder(struct_for(Transaction)).decode
        self._money = MoneyMemo(currency)
        self._ids = KeyMemo()
        self._skus = KeyMemo()
        self._visits = KeyMemo()

    def accept(self, records: Sequence[Record]) -> tuple[list[Any], list[int], list[tuple[int, BadMessage]]]:
        """The good records as `Transaction` structs, which they are, and the bad ones with what is wrong."""
        good, sources, bad = self._parse(records)
        flat = [line for receipt in good for line in receipt.lines]
        try:
            for name in MONEY_FIELDS:
                for text in set(map(attrgetter(name), flat)):
                    self._money[text]
        except BadMessage:
            good, sources = self._drop_bad_money(good, sources, bad)
            bad.sort(key=lambda item: item[0])
        return good, sources, bad

    def columns(self, records: Sequence[Record]) -> Judged:
        """The good records as columns; the bad ones apart."""
        receipts, sources, bad = self.accept(records)
        lines, skus = self._line_columns([line for receipt in receipts for line in receipt.lines])
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
        return Judged(events, lines, list(customers), np.array(sources, dtype=np.int64), symbols, bad)

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
                bad.append((index, explain(Transaction, record, error)))
            else:
                good.append(receipt)
                sources.append(index)
        return good, sources, bad

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

    def _money_error(self, receipt: Any) -> BadMessage | None:
        for number, line in enumerate(receipt.lines):
            for name in MONEY_FIELDS:
                try:
                    self._money[getattr(line, name)]
                except BadMessage as error:
                    return BadMessage(error.reason, f"lines[{number}].{name}")
        return None

    def _line_columns(self, flat: list[Any]) -> tuple[np.ndarray, list[str]]:
        lines = np.zeros((len(flat), LINE_COLUMNS), dtype=np.int64)
        # One list a field: several times cheaper than a tuple a line.
        money = self._money
        skus = [line.sku for line in flat]
        measures = lines[:, LINE_MEASURE:]
        lines[:, LINE_SKU] = [self._skus[sku] for sku in skus]
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
