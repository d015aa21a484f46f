"""Answers made by hand from real receipts, and the truth about them worked out from the receipts alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from streams.sources.record import Record
from streams.topics import TRANSACTIONS
from twin_store.messages import Prediction
from twin_store.messages.codec import epoch_seconds, instant_of

DAY = 86_400


@dataclass(frozen=True)
class Receipt:
    """A sale as the data set tells it."""

    customer_id: str
    second: int
    skus: frozenset[str]
    with_coupon: frozenset[str]


def receipts_of(records: Iterable[Record]) -> dict[str, list[Receipt]]:
    """Each customer's receipts in order of time."""
    found: dict[str, list[Receipt]] = {}
    for record in records:
        if record.topic is TRANSACTIONS:
            body = json.loads(record.value or b"")
            bought = [line for line in body["lines"] if line["quantity"] > 0]
            receipt = Receipt(
                body["customer_id"],
                epoch_seconds(datetime.fromisoformat(body["occurred_at"])),
                frozenset(line["sku"] for line in bought),
                frozenset(
                    line["sku"] for line in bought if "coupon_ids" in line or "coupon_discount" in line
                ),
            )
            found.setdefault(receipt.customer_id, []).append(receipt)
    return {customer: sorted(mine, key=lambda r: r.second) for customer, mine in found.items()}


def answered(customer_id: str, as_of: int, candidates: Sequence[str], days: int = 14) -> Prediction:
    """A purchase answer, to be settled by her next trip."""
    now = datetime.now(UTC)
    return Prediction.model_validate(
        {
            "query_id": f"{customer_id}-{as_of}",
            "kind": "purchase",
            "customer_id": customer_id,
            "status": "answered",
            "as_of": instant_of(as_of),
            "raised_at": now,
            "answered_at": now,
            "latency_ms": 1.0,
            "raised_by": "request",
            "probabilities": [0.25] * len(candidates),
            "decider": "evidence",
            "decider_version": "1",
            "subject": {"candidates": list(candidates)},
            "settlement": {"by": "next_trip", "until": instant_of(as_of + days * DAY)},
        }
    )


def truths_of(prediction: Prediction, receipts: Sequence[Receipt]) -> tuple[int, ...] | None:
    """What her first trip says; None if there was none before the horizon."""
    as_of, until = epoch_seconds(prediction.as_of), epoch_seconds(prediction.settlement.until)
    following = [receipt for receipt in receipts if as_of < receipt.second <= until]
    if not following:
        return None
    bought = {sku for r in following if r.second == following[0].second for sku in r.skus}
    return tuple(int(sku in bought) for sku in prediction.subject.candidates)
