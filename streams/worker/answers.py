"""Queries with their decisions as predictions: everything an audit needs is in the message."""

from datetime import datetime
from typing import Any

from trainer.deciders.base import Decision, Refusal
from twin_store.messages import Prediction, Query
from twin_store.messages.wire import struct_for

NOBODY = "none"
_Prediction = struct_for(Prediction)


def answered(
    query: Query, decision: Decision, decider: str, version: str, now: datetime, twin_hash: str
) -> Any:
    """A prediction with probabilities, as the fast twin of `Prediction`."""
    return _Prediction(
        **_shared(query, now),
        status="answered",
        probabilities=tuple(decision.probabilities),
        raw_probabilities=tuple(decision.raw_probabilities),
        choice=decision.choice,
        decider=decider,
        decider_version=version,
        evidence=tuple(decision.evidence),
        twin_hash=twin_hash,
    )


def expired(query: Query, now: datetime) -> Any:
    """A prediction that came too late to be worth anything."""
    return _Prediction(
        **_shared(query, now),
        status="expired",
        reason="the deadline had passed",
        decider=NOBODY,
        decider_version=NOBODY,
    )


def rejected(
    query: Query, now: datetime, refusal: Refusal, decider: str = NOBODY, version: str = NOBODY
) -> Any:
    """A prediction that says why there is none."""
    return _Prediction(
        **_shared(query, now),
        status="rejected",
        reason=refusal.reason,
        decider=decider,
        decider_version=version,
    )


def _shared(query: Query, now: datetime) -> dict[str, Any]:
    return {
        "query_id": query.query_id,
        "kind": query.kind,
        "customer_id": query.customer_id,
        "as_of": query.as_of,
        "raised_at": query.raised_at,
        "answered_at": now,
        "latency_ms": round((now - query.raised_at).total_seconds() * 1000, 3),
        "raised_by": query.raised_by,
        "request_id": query.request_id,
        "products": query.environment.products,
        "subject": query.subject,
        "settlement": query.settlement,
        "twin_position": query.twin_position,
    }
