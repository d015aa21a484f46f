"""Queries with their decisions as predictions: everything an audit needs is in the message."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from trainer.deciders.base import Decider, Decision, Told
from twin_store.messages import Prediction, Query, SourceOffset
from twin_store.messages.decisions import Interval
from twin_store.messages.wire import struct_for

NOBODY = "none"
_Prediction, _Offset, _Interval = struct_for(Prediction), struct_for(SourceOffset), struct_for(Interval)


@dataclass(frozen=True, slots=True)
class Author:
    """Who answers: a decider, its version, and how far it had read the twins' changelog."""

    decider: str
    version: str
    had_read: Any

    @classmethod
    def of(cls, decider: Decider | None, had_read: Any) -> Self:
        """The author with this decider, or nobody."""
        return (
            cls(NOBODY, NOBODY, had_read) if decider is None else cls(decider.name, decider.version, had_read)
        )


def position(topic: str, partition: int, offset: int) -> Any:
    """How far a replica had read the twins' changelog."""
    return _Offset(topic=topic, partition=partition, offset=offset)


def answered(
    query: Query,
    decision: Decision,
    by: Author,
    now: datetime,
    twin_hash: str,
    degraded: str | None,
    segment: str | None = None,
) -> Any:
    """A prediction with probabilities, as the fast twin of `Prediction`.

    `degraded` says what the answer lacks, such as a twin; `segment` is the twin's, where it was looked at.
    """
    told = {"segment": segment} if decision.told is None else _told(decision.told)
    return _Prediction(
        **_shared(query, by, now),
        status="answered",
        probabilities=tuple(decision.probabilities),
        raw_probabilities=tuple(decision.raw_probabilities),
        choice=decision.choice,
        evidence=_finite(decision.evidence),
        twin_hash=twin_hash,
        degraded_reason=degraded,
        intervals=tuple([_Interval(low=low, high=high) for low, high in decision.intervals]),
        abstains=decision.abstains,
        **told,
    )


def expired(query: Query, by: Author, now: datetime) -> Any:
    """A prediction that would have come too late to be worth anything."""
    late_s = (now - query.deadline).total_seconds()
    reason = f"the deadline had passed {late_s:.1f} s before"
    return _Prediction(**_shared(query, by, now), status="expired", reason=reason)


def rejected(query: Query, by: Author, now: datetime, reason: str) -> Any:
    """A prediction that says why there is no answer."""
    return _Prediction(**_shared(query, by, now), status="rejected", reason=reason)


def _shared(query: Query, by: Author, now: datetime) -> dict[str, Any]:
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
        "decider": by.decider,
        "decider_version": by.version,
        "products": query.environment.products,
        "subject": query.subject,
        "settlement": query.settlement,
        "twin_position": (by.had_read,),
    }


def _told(told: Told) -> dict[str, Any]:
    return {
        "segment": told.segment,
        "adapter": told.adapter,
        "prompt_hash": told.prompt_hash,
        "joint_mass": told.joint_mass,
        "likelihood": told.likelihood,
        "text": told.text,
    }


def _finite(evidence: Sequence[dict[str, float]]) -> tuple[dict[str, float], ...]:
    """Evidence that JSON can carry: it has no infinities."""
    if all(math.isfinite(sum(row.values())) for row in evidence):
        return tuple(evidence)
    return tuple({name: value for name, value in row.items() if math.isfinite(value)} for row in evidence)
