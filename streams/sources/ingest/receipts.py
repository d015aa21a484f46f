"""Drafts as messages: written compactly, checked against the contract, in time order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
import polars as pl

from streams.sources.ingest.drafts import Draft, Row, drafts_of
from streams.sources.ingest.rejects import Reject
from streams.sources.ingest.values import MICROSECONDS, MONEY_UNIT
from streams.sources.record import Record
from streams.topics import TRANSACTIONS
from twin_store.messages import Transaction
from twin_store.messages.base import format_instant
from twin_store.messages.codec import BadMessage, decode, instant_of, minor_digits
from twin_store.messages.wire import struct_for

KIND_ORDER = {"sale": 0, "return": 1, "void": 2}
LINE_PLACE = re.compile(r"lines\[([0-9]+)\]")
_encode = msgspec.json.Encoder().encode
_check = msgspec.json.Decoder(struct_for(Transaction)).decode


@dataclass
class Made:
    """What became of some rows: messages in time order, how many of each kind, and rows that became none."""

    records: list[Record] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def make_receipts(rows: pl.DataFrame, list_separator: str) -> Made:
    """Messages of all customers of a bucket.

    Args:
        rows: what `rows.ROW_COLUMNS` lists; every row of each of its customers.
        list_separator: what stands between ids in one text.
    """
    rejects: list[Reject] = []
    found: list[tuple[int, int, int, str, Record]] = []
    ordered = rows.sort("customer_id", "key", "row", "item").iter_rows(named=True)
    for _, of_customer in groupby(ordered, key=itemgetter("customer_id")):
        for draft in drafts_of(of_customer, rejects):
            try:
                record = _record(draft, list_separator)
            except BadMessage as error:
                rejects.append(_explain(draft, error))
            else:
                found.append((draft.at, KIND_ORDER[draft.kind], draft.rows[0]["row"], draft.kind, record))
    found.sort(key=itemgetter(0, 1, 2))
    return Made([record for *_, record in found], [kind for *_, kind, _ in found], rejects)


def _record(draft: Draft, list_separator: str) -> Record:
    """The message. Raises `BadMessage` where it breaks its contract."""
    first = draft.rows[0]
    seconds, microseconds = divmod(draft.at, MICROSECONDS)
    lines = [] if draft.kind == "void" else [_line(row, list_separator) for row in draft.rows]
    body = {
        "version": Transaction.current_version,
        "transaction_id": draft.transaction_id,
        "customer_id": first["customer_id"],
        "kind": draft.kind,
        "occurred_at": format_instant(instant_of(seconds).replace(microsecond=microseconds)),
        "store_id": first["store_id"],
        "channel": first["channel"],
        "currency": first["currency"],
        "lines": lines,
        "original_transaction_id": draft.original,
    }
    value = _encode({name: part for name, part in body.items() if part is not None})
    try:
        _check(value)
    except msgspec.ValidationError:
        decode(Transaction, value)  # the slow way says what is wrong, and where
    return Record(
        TRANSACTIONS,
        first["customer_id"].encode(),
        value,
        seconds,
        len(lines),
        _net_minor(draft),
    )


def _net_minor(draft: Draft) -> int:
    """What the message adds to turnover, in minor units."""
    if draft.kind == "void":
        return 0
    minor = MONEY_UNIT // 10 ** minor_digits(draft.rows[0]["currency"])
    net = sum(round(row["net"] / minor) for row in draft.rows if row["net"] is not None)
    return -net if draft.kind == "return" else net


def _line(row: Row, list_separator: str) -> dict[str, Any]:
    """A line, without the fields that are not known or at their default."""
    fields: dict[str, Any] = {"sku": row["sku"], "quantity": row["quantity"]}
    for name in ("unit_price", "discount", "coupon_discount", "net"):
        if (amount := row[name]) is not None and (amount or name in ("unit_price", "net")):
            fields[name] = money_text(amount)
    for name in ("coupon_ids", "promotion_ids"):
        if row[name] is not None:
            fields[name] = [part.strip() for part in row[name].split(list_separator) if part.strip()]
    return fields


def money_text(amount: int) -> str:
    """Ten-thousandths as a decimal string, with two digits after the point where they are enough."""
    whole, rest = divmod(abs(amount), MONEY_UNIT)
    digits = f"{rest:04d}"
    return f"{'-' if amount < 0 else ''}{whole}.{digits[:2] if digits.endswith('00') else digits}"


def _explain(draft: Draft, error: BadMessage) -> Reject:
    """The contract's complaint, at the row of the line it is about."""
    line = LINE_PLACE.match(error.place or "")
    row = draft.rows[int(line[1]) if line else 0]["row"]
    return Reject(row, f"receipt {draft.transaction_id}: {error.reason}", error.place)
