"""Messages about people, dated in days after Monday 2024-01-01."""

from __future__ import annotations

from typing import Any

from tests.retail import at, sale
from twin_store.messages import Click, Customer, Erasure, Transaction


def view(number: int | str, day: float, visitor: str = "visitor", **fields: Any) -> Click:
    """A look at the milk by somebody anonymous."""
    body = {"event_id": f"e{number}", "session_id": f"{visitor}-{day:.0f}", "action": "view", "sku": "milk"}
    return Click.model_validate(body | {"anonymous_id": visitor, "occurred_at": at(day)} | fields)


def customer(name: str, day: float, *anonymous: str, **demographics: str) -> Customer:
    """A customer's record, which claims these anonymous ids."""
    return Customer(
        customer_id=name, updated_at=at(day), anonymous_ids=list(anonymous), demographics=demographics
    )


def erasure(name: str, day: float) -> Erasure:
    return Erasure(customer_id=name, requested_at=at(day))


def taken_back(of: Transaction, day: float, kind: str = "return") -> Transaction:
    """A return of the first line of a receipt, or its void."""
    lines = [of.lines[0].model_dump() | {"net": None}] if kind == "return" else []
    changes = {"transaction_id": f"{kind}-of-{of.transaction_id}", "occurred_at": at(day + 0.5), "kind": kind}
    body = of.model_dump() | changes | {"original_transaction_id": of.transaction_id, "lines": lines}
    return Transaction.model_validate(body)


__all__ = ["customer", "erasure", "sale", "taken_back", "view"]
