"""A round of the planner: some records in, queries and ledgers out, in the order that survives a crash.

Queries are delivered first, then the ledgers that say they were asked, and only then do the records count as
read. After a crash in between the ledgers stand where they stood, and the same records raise the same queries
with the same ids: whoever takes an id once sees each query once. A record that a ledger includes already is
passed over, so reading again changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from streams.agents import ledger as ledgers
from streams.agents.carts import cart_anchors
from streams.agents.ledger import Ledger
from streams.agents.neighbours import NeighbourMemo
from streams.agents.planner import Plan, Planner
from streams.agents.requests import ask_anchors
from streams.agents.retrieved import Neighbours
from streams.agents.trips import profile_anchors
from streams.dead_letters import Origin, dead_letter_record
from streams.decoding import FastDecoder
from streams.kafka import Headers
from streams.promotions import Campaign
from streams.topics import ASKS, CLICKSTREAM, DEAD_LETTERS, PROFILES, QUERIES, Topic
from twin_store.messages import Ask, Click, Profile, Query
from twin_store.messages.codec import BadMessage, decode, headers_for

SOURCE = "/twins/planner"
STAGE = "planner"
_log = logging.getLogger(__name__)

Plans = Callable[[Ledger, Any, Neighbours, datetime], Plan]


class Post(Protocol):
    """Where a round puts what it has made. What is awaited twice is delivered, and durable."""

    async def send(
        self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Awaitable[Any]:
        """Hand over one record."""

    def ledger(self, key: bytes) -> bytes | None:
        """The ledger of a customer as it is kept, None if there is none."""

    async def write(self, key: bytes, value: bytes | None) -> Awaitable[Any]:
        """Hand over a ledger to be kept, or None to forget it."""

    def keep(self, key: bytes, value: bytes | None) -> None:
        """The ledger is durable: from now on it is the customer's."""


class Tally(Protocol):
    """Who counts what rounds do."""

    def planned(self, plan: Plan) -> None:
        """What an event gave."""

    def passed_over(self, topic: Topic) -> None:
        """A record was included already."""

    def buried(self, topic: Topic) -> None:
        """A record went to the dead letters."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record of one of the topics that are keyed by customer."""

    topic: Topic
    origin: Origin


@dataclass(frozen=True, slots=True)
class _Source:
    """How the records of one topic become plans. `anchors` names the products whose neighbours are needed."""

    name: str
    decode: Callable[[bytes | None], Any]
    anchors: Callable[[Ledger, Any], list[str]]
    plan: Plans


class Rounds:
    """Rounds over the customers of this process's partitions, one at a time.

    Attributes:
        as_of: by partition, how far event time has come, in epoch seconds.
    """

    def __init__(self, planner: Planner, neighbours: NeighbourMemo, post: Post, tally: Tally) -> None:
        self.as_of: dict[int, int] = {}
        self._planner = planner
        self._neighbours = neighbours
        self._post = post
        self._tally = tally
        self._one_at_a_time = asyncio.Lock()
        self._sources = {
            PROFILES: _Source(
                "profiles",
                FastDecoder(Profile),
                lambda _, profile: profile_anchors(profile),
                planner.on_profile,
            ),
            ASKS: _Source("asks", partial(decode, Ask), lambda _, ask: ask_anchors(ask), planner.on_ask),
            CLICKSTREAM: _Source("clicks", FastDecoder(Click), cart_anchors, planner.on_click),
        }

    async def take(self, arrivals: Sequence[Arrival]) -> None:
        """Handle these records in order."""
        async with self._one_at_a_time:
            read = [(arrival, await self._read(arrival)) for arrival in arrivals]
            neighbours = await self._neighbours.of(self._anchors(read))
            now = datetime.now(UTC)
            changed: dict[bytes, bytes | None] = {}
            queries: list[Query] = []
            for arrival, event in read:
                if event is not None:
                    queries += await self._plan(arrival, event, changed, neighbours, now)
                elif arrival.topic is PROFILES and arrival.origin.value is None and arrival.origin.key:
                    changed[arrival.origin.key] = None  # erased: nothing is remembered of her either
            await self._publish(queries, changed)

    async def open_campaign(self, campaign: Campaign, customer_ids: Iterable[str]) -> None:
        """Put a campaign that has opened to these customers of its audience."""
        async with self._one_at_a_time:
            now = datetime.now(UTC)
            changed: dict[bytes, bytes | None] = {}
            queries: list[Query] = []
            for customer_id in customer_ids:
                key = customer_id.encode()
                ledger = ledgers.decode(self._post.ledger(key))
                plan = self._planner.on_campaign(ledger, customer_id, campaign, now)
                self._tally.planned(plan)
                if plan.queries:
                    changed[key] = ledgers.encode(ledger)
                    queries += plan.queries
            await self._publish(queries, changed)

    async def _read(self, arrival: Arrival) -> Any:
        """The event of a record; None where there is nothing to plan for."""
        origin = arrival.origin
        if origin.value is None and arrival.topic is PROFILES:
            return None
        try:
            event = self._sources[arrival.topic].decode(origin.value)
            if event.customer_id is None:
                return None  # a session of nobody known
            if origin.key != event.customer_id.encode():
                raise BadMessage("the record's key is another", "customer_id")
        except BadMessage as error:
            if arrival.topic is not CLICKSTREAM:  # those are buried by the updater, which reads each as well
                await self._bury(arrival, error)
            return None
        return event

    def _anchors(self, read: list[tuple[Arrival, Any]]) -> list[str]:
        wanted: list[str] = []
        for arrival, event in read:
            if event is not None:
                ledger = ledgers.decode(self._post.ledger(arrival.origin.key or b""))
                wanted += self._sources[arrival.topic].anchors(ledger, event)
        return wanted

    async def _plan(
        self,
        arrival: Arrival,
        event: Any,
        changed: dict[bytes, bytes | None],
        neighbours: Neighbours,
        now: datetime,
    ) -> list[Query]:
        """The queries of one event; its customer's ledger goes to `changed`."""
        origin, source = arrival.origin, self._sources[arrival.topic]
        key = origin.key or b""
        ledger = ledgers.decode(changed[key] if key in changed else self._post.ledger(key))
        if ledger.includes(source.name, origin.offset):
            self._tally.passed_over(arrival.topic)
            return []
        try:
            plan = source.plan(ledger, event, neighbours, now)
        except Exception as error:  # a defect on one record must not stop the customers behind it
            _log.exception("%s/%d/%d cannot be planned", origin.topic, origin.partition, origin.offset)
            await self._bury(arrival, error)
            return []
        ledger.include(source.name, origin.offset)
        ledger.tidy()
        changed[key] = ledgers.encode(ledger)
        if arrival.topic is PROFILES:
            self.as_of[origin.partition] = max(self.as_of.get(origin.partition, 0), ledger.as_of)
        self._tally.planned(plan)
        return plan.queries

    async def _publish(self, queries: list[Query], changed: dict[bytes, bytes | None]) -> None:
        """1. queries are delivered; 2. ledgers are durable; 3. ledgers are in force."""
        sent = [
            await self._post.send(QUERIES, query.customer_id.encode(), query.to_wire(), _headers(query))
            for query in queries
        ]
        await asyncio.gather(*sent)
        written = [await self._post.write(key, value) for key, value in changed.items()]
        await asyncio.gather(*written)
        for key, value in changed.items():
            self._post.keep(key, value)

    async def _bury(self, arrival: Arrival, error: Exception) -> None:
        key, value, headers = dead_letter_record(arrival.origin, STAGE, error)
        await (await self._post.send(DEAD_LETTERS, key, value, headers))
        self._tally.buried(arrival.topic)


def _headers(query: Query) -> Headers:
    """CloudEvents attributes; the event's id is the query's, so a query raised twice is one event."""
    found = headers_for(query, SOURCE, query.raised_at)
    return [(name, query.query_id.encode() if name == "ce_id" else value) for name, value in found]
