"""How a question about a customer becomes a query: its id, what surrounds it, when it is due, what settles it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Literal

from streams.agents.ledger import Ledger
from streams.environment import Environment
from twin_store.messages import Environment as Surroundings
from twin_store.messages import Query, QuestionKind, RetrievedProduct, Settlement, SourceOffset, Subject
from twin_store.messages.codec import SECONDS_PER_DAY, instant_of
from twin_store.messages.decisions import Trigger
from twin_store.symbols import KeyMemo

TRIP_HORIZON_S = 14 * SECONDS_PER_DAY
RETRIEVED_MAX = 3
# 9 is the most urgent: somebody waits in front of a cart, then a colleague at a screen; the rest is ahead of time.
PRIORITY: dict[Trigger, int] = {"open_basket": 8, "request": 7, "campaign": 4, "due_item": 3}

Refusal = Literal["no_twin", "no_consent", "cooling_down", "over_budget"]

_keys = KeyMemo()


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask about whom, before it is a query.

    Attributes:
        occasion: what raised it, such as a session and its cart; with trigger, customer and kind it makes the id.
        as_of: epoch seconds.
        until: what settles it at the latest, epoch seconds.
        rests: what must not be asked again for a while, as `rest_key`s.
        rest_until: how long, epoch seconds; None for the usual cool-down.
        answers: the request that is answered with it, as its `rest_key`.
        spent_at: whose day's budget pays, epoch seconds; None for `as_of`.
        deadline: None for the default.
        position: the source offsets that the twin includes which raised it.
    """

    customer_id: str
    kind: QuestionKind
    raised_by: Trigger
    occasion: str
    as_of: int
    subject: Subject
    until: int
    rests: tuple[int, ...] = ()
    rest_until: int | None = None
    answers: int | None = None
    spent_at: int | None = None
    by_next_trip: bool = True
    store_id: str | None = None
    retrieved: Sequence[RetrievedProduct] = ()
    request_id: str | None = None
    deadline: datetime | None = None
    position: Sequence[SourceOffset] = ()

    @property
    def query_id(self) -> str:
        """The same for the same occasion, so that a replay raises the same query."""
        return query_id(self.raised_by, self.customer_id, self.kind, self.occasion)


Proposal = Question | Refusal | None
"""A question worth asking, or why it is not asked now, or None where there is nothing to ask."""


def query_id(raised_by: str, customer_id: str, kind: str, occasion: str) -> str:
    """32 hex digits."""
    parts = "\x1f".join((raised_by, customer_id, kind, occasion))
    return blake2b(parts.encode(), digest_size=16).hexdigest()


def rest_key(kind: str, subject: str) -> int:
    """The 64-bit key under which a ledger remembers that this was asked."""
    return _keys[f"{kind}\x1f{subject}"]


def rested(ledger: Ledger, kind: QuestionKind, skus: Iterable[str], at: int) -> list[str]:
    """Those of these products that the customer may be asked about again."""
    return [sku for sku in skus if not ledger.is_cooling(rest_key(kind, sku), at)]


def as_query(question: Question, environment: Environment, now: datetime, deadline_s: float) -> Query:
    """The query, raised at `now`, with what surrounds its candidates as of the question's moment."""
    subject = question.subject
    asked_about = dict.fromkeys([*subject.candidates, *(sku for basket in subject.baskets for sku in basket)])
    return Query(
        query_id=question.query_id,
        kind=question.kind,
        customer_id=question.customer_id,
        as_of=instant_of(question.as_of),
        raised_at=now,
        deadline=question.deadline or now + timedelta(seconds=deadline_s),
        raised_by=question.raised_by,
        request_id=question.request_id,
        priority=PRIORITY[question.raised_by],
        subject=subject,
        environment=Surroundings(
            store_id=question.store_id,
            context=environment.context(list(asked_about), question.store_id, question.as_of),
            products=list(question.retrieved[:RETRIEVED_MAX]),
        ),
        settlement=Settlement(
            by="next_trip" if question.by_next_trip else "until", until=instant_of(question.until)
        ),
        twin_position=list(question.position),
    )
