"""The planner process: Faust's wiring around the rounds, from start to a clean stop.

One Faust agent reads profiles, asks and clicks, so that a customer's ledger has one writer; another one deals
requests out by customer, and a third buries promotions that do not fit. Records count as read when what they caused is
delivered.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from faust.types import EventT

from streams.agents import faust_app
from streams.agents.campaign_opener import CampaignOpener
from streams.agents.environment_reader import EnvironmentReader
from streams.agents.faust_post import FaustPost
from streams.agents.neighbours import NeighbourMemo
from streams.agents.planner import Plan, Planner, Rules
from streams.agents.promotion_desk import PromotionDesk
from streams.agents.request_desk import RequestDesk
from streams.agents.rounds import Arrival, Rounds
from streams.dead_letters import Origin
from streams.environment import Environment
from streams.kafka import topic_called, topic_name
from streams.product_index import IndexReader
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topics import ASKS, CLICKSTREAM, PROFILES, PROMOTIONS, REQUESTS, Topic
from twin_store.products import ProductRetrieval

NAME = "planner"
ROUND_MAX = 500
ROUND_WITHIN_S = 0.02
REQUESTS_AT_ONCE = 20
PROMOTIONS_AT_ONCE = 100
TICK_S = 0.1
OPEN_EVERY_S = 0.5
STOP_TIMEOUT_S = 30.0
CHATTY = ("faust", "mode", "aiokafka")  # they log every step of a start as INFO, in tables of many lines
_log = logging.getLogger(__name__)


class Counters:
    """See `rounds.Tally`; in the process's metrics."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._queries = telemetry.counter("queries", "Queries raised", ("kind", "raised_by"))
        self._refused = telemetry.counter("refused", "Questions not asked", ("reason",))
        self._passed_over = telemetry.counter("passed_over", "Records that were included already", ("topic",))
        self._buried = telemetry.counter("dead_letters", "Records that could not be used", ("topic",))

    def planned(self, plan: Plan) -> None:
        """What an event gave."""
        for query in plan.queries:
            self._queries.labels(query.kind, query.raised_by).inc()
        for reason in plan.refusals:
            self._refused.labels(reason).inc()

    def passed_over(self, topic: Topic) -> None:
        """A record was included already."""
        self._passed_over.labels(topic.name).inc()

    def buried(self, topic: Topic) -> None:
        """A record went to the dead letters."""
        self._buried.labels(topic.name).inc()


class PlannerProcess:
    """One planner. Lives on the running event loop."""

    def __init__(
        self, settings: Settings, retrieval: ProductRetrieval, telemetry: Telemetry, member: str
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._stop = threading.Event()
        self._round_size = telemetry.counter("records", "Records planned for")
        self._environment = Environment()
        self._reader = EnvironmentReader(settings, self._environment)
        self._neighbours = NeighbourMemo(retrieval)
        self._app = faust_app.build(settings, NAME, member)
        post, counters = FaustPost(self._app, settings), Counters(telemetry)
        planner = Planner(rules(settings), self._environment)
        self._rounds = Rounds(planner, self._neighbours, post, counters)
        self._desk = RequestDesk(self._environment, self._reader, post, counters)
        self._promotions = PromotionDesk(post, counters)
        self._opener = CampaignOpener(
            self._rounds, self._environment, self._held_partitions, settings.partitions
        )
        self._add_agent("plan", (PROFILES, ASKS, CLICKSTREAM), ROUND_MAX, self._plan)
        self._add_agent("deal-out", (REQUESTS,), REQUESTS_AT_ONCE, self._deal_out)
        self._add_agent("promotions", (PROMOTIONS,), PROMOTIONS_AT_ONCE, self._inspect)

    async def run(self, stop: threading.Event) -> None:
        """Plan until `stop` is set. Raises whatever keeps the planner from planning."""
        self._stop = stop
        self._reader.start()
        tasks: list[asyncio.Task[None]] = []
        try:
            # Promotions first: a profile that is planned for without them gets other questions.
            while not (stop.is_set() or self._reader.is_loaded):
                await self._tick(tasks)
            if not stop.is_set():
                tasks = [asyncio.create_task(self._app.start()), asyncio.create_task(self._open_campaigns())]
            while not stop.is_set():
                await self._tick(tasks)
                self._telemetry.ready(self._plans)
        finally:
            self._telemetry.ready(False)
            if tasks:
                await asyncio.wait_for(self._app.stop(), STOP_TIMEOUT_S)
                await asyncio.gather(*tasks, return_exceptions=True)
            self._neighbours.close()
            self._reader.close()

    @property
    def _plans(self) -> bool:
        """Whether ledgers are restored and records are taken."""
        return self._app.started and self._app.flow_control.is_active()

    async def _open_campaigns(self) -> None:
        while not self._stop.is_set():
            await asyncio.sleep(OPEN_EVERY_S)
            if self._plans:
                await self._opener.open_due()

    async def _tick(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Let others run; fail if one of them has failed."""
        await asyncio.sleep(TICK_S)
        self._telemetry.beat()
        for task in tasks:
            if task.done():
                task.result()
        if self._reader.failure is not None:
            raise self._reader.failure
        if self._app.crashed:
            raise self._app.crash_reason or RuntimeError("Faust stopped and gave no reason")

    def _add_agent(
        self,
        name: str,
        topics: Sequence[Topic],
        at_once: int,
        take: Callable[[list[EventT]], Awaitable[None]],
    ) -> None:
        """An agent that takes records a few at a time, and counts them as read once they are dealt with.

        One at a time (`concurrency=1`): Faust commits past records that are still under way (#606).
        """

        async def read(stream: Any) -> None:  # a faust.Stream; its interface lacks `noack_take`
            async for events in stream.noack_take(at_once, within=ROUND_WITHIN_S):
                try:
                    await take(events)
                except Exception as error:
                    # Nothing was counted as read: a restart takes these again.
                    _log.exception("%s failed", name)
                    await self._app.crash(error)
                    return
                for event in events:
                    await stream.ack(event)

        channel = faust_app.raw_topic(self._app, self._settings, *topics)
        self._app.agent(channel, name=f"{self._app.conf.id}.{name}", concurrency=1)(read)

    async def _plan(self, events: list[EventT]) -> None:
        await self._rounds.take([Arrival(self._topic_of(event), _origin(event)) for event in events])
        self._round_size.inc(len(events))

    async def _deal_out(self, events: list[EventT]) -> None:
        for event in events:
            await self._desk.take(_origin(event))

    async def _inspect(self, events: list[EventT]) -> None:
        for event in events:
            await self._promotions.take(_origin(event))

    def _topic_of(self, event: EventT) -> Topic:
        topic = topic_called(self._settings, event.message.topic)
        assert topic is not None, f"nobody subscribed to {event.message.topic}"
        return topic

    def _held_partitions(self) -> set[int]:
        if self._stop.is_set():
            return set()
        profiles = topic_name(self._settings, PROFILES)
        return {tp.partition for tp in self._app.consumer.assignment() if tp.topic == profiles}


def run(settings: Settings, stop: threading.Event, member: str = "0") -> None:
    """Plan until `stop` is set. `member` tells the planners of one machine apart: each has an index of its own.

    Raises `TwinsError` if Kafka, its topics or the product index are not to be had, and whatever else ends it.
    """
    with Telemetry(NAME, settings) as telemetry:
        if settings.log_level != "DEBUG":
            for library in CHATTY:
                logging.getLogger(library).setLevel(logging.WARNING)
        index = IndexReader(settings, f"{NAME}-{member}")
        index.start()
        try:
            asyncio.run(_run(settings, index.retrieval, telemetry, member, stop))
        finally:
            index.close()


async def _run(
    settings: Settings,
    retrieval: ProductRetrieval,
    telemetry: Telemetry,
    member: str,
    stop: threading.Event,
) -> None:
    await PlannerProcess(settings, retrieval, telemetry, member).run(stop)


def rules(settings: Settings) -> Rules:
    """The planner's limits in this deployment."""
    return Rules(
        budget_per_day=settings.query_budget_per_day,
        cooldown_s=round(settings.query_cooldown_hours * 3600),
        deadline_s=settings.query_deadline_s,
    )


def _origin(event: EventT) -> Origin:
    message = event.message
    headers: Any = message.headers or ()
    return Origin(message.topic, message.partition, message.offset, message.key, message.value, list(headers))
