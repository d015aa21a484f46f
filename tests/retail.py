"""Receipts by hand: short ways to write sales and to have them folded into a twin as the hot lane does."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from twin_store.columns import ReceiptDecoder
from twin_store.dna.twin import Twin, fold_receipts
from twin_store.messages import Transaction
from twin_store.messages.codec import epoch_seconds
from twin_store.records import Record

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def at(day: float) -> datetime:
    """An instant so many days after Monday 2024-01-01."""
    return MONDAY + timedelta(days=day)


def second(day: float) -> int:
    """`at(day)` in epoch seconds."""
    return epoch_seconds(at(day))


def sale(
    day: float,
    lines: Sequence[str | dict[str, Any]],
    customer: str = "c1",
    store: str | None = "s1",
    number: str | None = None,
) -> Transaction:
    """A receipt at noon of that day; a line is a sku (one unit for 1.00) or a line's fields."""
    whole = [{"sku": line} if isinstance(line, str) else line for line in lines]
    return Transaction.model_validate(
        {
            "transaction_id": number or f"{customer}-{day}",
            "customer_id": customer,
            "occurred_at": at(day + 0.5),
            "store_id": store,
            "currency": "USD",
            "lines": [{"quantity": 1.0, "net": "1.00"} | line for line in whole],
        }
    )


def twin_of(receipts: Iterable[Transaction]) -> Twin:
    """The twin of one customer after these receipts, decoded from their wire form."""
    records = [
        Record(receipt.customer_id.encode(), receipt.to_wire(), epoch_seconds(receipt.occurred_at))
        for receipt in receipts
    ]
    columns = ReceiptDecoder("USD").decode(records)
    assert not columns.bad, columns.bad
    assert len(columns.customers) <= 1
    return fold_receipts(Twin(), columns.events, columns.lines)[0]
