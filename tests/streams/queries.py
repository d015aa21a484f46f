"""Queries made by hand, and their predictions read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.topics import PREDICTIONS, QUERIES
from tests.streams.running import eventually
from twin_store.messages import Prediction, Query, SourceOffset
from twin_store.messages.codec import decode, instant_of

DAY = 86_400


def query(
    customer_id: str,
    as_of: int,
    kind: str = "purchase",
    query_id: str | None = None,
    deadline_s: float = 120,
    of_profile: bool = False,
    priority: int = 5,
    **subject: Any,
) -> Query:
    """A query raised now. `of_profile`: it names where her twin stood, as one that a profile raised does."""
    now = datetime.now(UTC)
    position = [SourceOffset(topic="receipts", partition=0, offset=1)] if of_profile else []
    return Query.model_validate(
        {
            "query_id": query_id or f"{kind}-{customer_id}-{as_of}",
            "kind": kind,
            "customer_id": customer_id,
            "as_of": instant_of(as_of),
            "raised_at": now,
            "deadline": now + timedelta(seconds=deadline_s),
            "raised_by": "request",
            "priority": priority,
            "subject": subject,
            "settlement": {"by": "next_trip", "until": instant_of(as_of + 14 * DAY)},
            "twin_position": position,
        }
    )


def all_kinds(customer_id: str, as_of: int, skus: Sequence[str]) -> list[Query]:
    """One query of each kind about these skus, four or more."""
    return [
        query(customer_id, as_of, candidates=list(skus)),
        query(customer_id, as_of, "promotion_response", candidates=list(skus)),
        query(
            customer_id, as_of, "basket_completion", candidates=list(skus[:2]), partial_basket=list(skus[2:])
        ),
        query(customer_id, as_of, "trip_choice", baskets=[list(skus[:2]), list(skus[2:])]),
        query(customer_id, as_of, "voucher_redemption", voucher_skus=list(skus), campaign_id="k"),
    ]


def publish_queries(settings: Settings, queries: Iterable[Query]) -> None:
    """In this order, to the partitions of their customers."""
    with Publisher(settings) as publisher:
        for each in queries:
            publisher.publish(QUERIES, each.customer_id.encode(), each.to_wire())


def predictions(settings: Settings) -> list[Prediction]:
    """Every committed prediction."""
    return [decode(Prediction, message.value()) for message in read_to_end(settings, PREDICTIONS)]


def wait_for_predictions(
    settings: Settings, ids: Iterable[str], timeout_s: float = 60.0
) -> dict[str, Prediction]:
    """Until each of these queries has a prediction; fails if one has two."""
    wanted = set(ids)
    eventually(lambda: wanted <= prediction_ids(settings), f"{len(wanted)} predictions", timeout_s)
    found = [prediction for prediction in predictions(settings) if prediction.query_id in wanted]
    assert len(found) == len(wanted), "a query was answered twice"
    return {prediction.query_id: prediction for prediction in found}


def prediction_ids(settings: Settings) -> set[str]:
    """The queries that have a committed prediction."""
    return {json.loads(message.value() or b"")["query_id"] for message in read_to_end(settings, PREDICTIONS)}
