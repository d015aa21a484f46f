"""The drift process: Faust's wiring around the monitor, from start to a clean stop. One for a deployment.

Two would each watch the customers of their own partitions. Its windows live in `twins.drift-state`, its verdicts follow
from `twins.drift-readings`, which is read back at the start.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Message
from faust.types import EventT

from streams.agents import faust_app
from streams.agents.drift_baselines import Baselines
from streams.agents.drift_monitor import DriftMonitor, partition_key, segments_by_customer
from streams.agents.drift_readings import Closed, Judge
from streams.agents.faust_post import FaustPost
from streams.dead_letters import Origin
from streams.kafka import read_to_end, topic_called, topic_name
from streams.schedule.policies import Policies
from streams.settings import Settings
from streams.tables import GlobalTable, newest
from streams.telemetry import Telemetry
from streams.topics import (
    DRIFT,
    DRIFT_READINGS,
    DRIFT_STATE,
    OUTCOMES,
    PROFILES,
    SCHEDULE,
    SEGMENT_MOVES,
    Topic,
)
from trainer.drift.visits import DAY_S
from twin_store.messages import DriftReading, SegmentMove
from twin_store.messages.codec import BadMessage, decode, headers_for
from twin_store.segments import load_definitions

NAME = "drift"
SOURCE = "/twins/drift"
ROUND_MAX = 2_000
ROUND_WITHIN_S = 0.25
TICK_S = 0.1
STOP_TIMEOUT_S = 30.0
CHATTY = ("faust", "mode", "aiokafka")
_log = logging.getLogger(__name__)


class DriftProcess:
    """One monitor. Lives on the running event loop."""

    def __init__(self, settings: Settings, telemetry: Telemetry, member: str) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._moved: dict[str, str] = {}
        self._policies = Policies()
        self._tables = [
            GlobalTable(settings, SEGMENT_MOVES, self._take_moves),
            GlobalTable(settings, SCHEDULE, self._policies.take),
        ]
        for table in self._tables:
            table.load()
        window_s = round(settings.drift_window_days * DAY_S)
        judge = Judge(window_s, Baselines(settings).of, self._policies.thresholds)
        for message in read_to_end(settings, DRIFT_READINGS):
            try:
                judge.recall(decode(DriftReading, message.value()))
            except BadMessage as error:
                _log.warning("a reading is passed over: %s", error)
        self._app = faust_app.build(settings, NAME, member)
        self._post = FaustPost(self._app, settings, DRIFT_STATE, "windows")
        self._monitor = DriftMonitor(
            judge,
            self._post.ledger,
            segments_by_customer(self._moved, load_definitions().fallback.name),
            window_s,
            round(settings.drift_grace_days * DAY_S),
        )
        self._records = telemetry.counter("records", "Records counted")
        self._readings = telemetry.counter("readings", "Windows read", ("segment",))
        self._trips = telemetry.counter("trips", "Segments that tripped", ("segment",))
        channel = faust_app.raw_topic(self._app, settings, PROFILES, OUTCOMES)
        self._app.agent(channel, name=f"{self._app.conf.id}.watch", concurrency=1)(self._read)

    async def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set. Raises whatever keeps it from watching."""
        task = asyncio.create_task(self._app.start())
        try:
            while not stop.is_set():
                await asyncio.sleep(TICK_S)
                self._telemetry.beat()
                if task.done():
                    task.result()
                if self._app.crashed:
                    raise self._app.crash_reason or RuntimeError("Faust stopped and gave no reason")
                self._telemetry.ready(self._app.started and self._app.flow_control.is_active())
        finally:
            self._telemetry.ready(False)
            await asyncio.wait_for(self._app.stop(), STOP_TIMEOUT_S)
            await asyncio.gather(task, return_exceptions=True)
            for table in self._tables:
                table.close()

    async def _read(self, stream: Any) -> None:  # a faust.Stream; its interface lacks `noack_take`
        async for events in stream.noack_take(ROUND_MAX, within=ROUND_WITHIN_S):
            try:
                await self._take(events)
            except Exception as error:
                _log.exception(
                    "the monitor failed"
                )  # nothing was counted as read: a restart takes these again
                await self._app.crash(error)
                return
            for event in events:
                await stream.ack(event)

    async def _take(self, events: list[EventT]) -> None:
        for table in self._tables:
            table.poll()
        self._monitor.forget(self._held())
        result = self._monitor.take([(self._topic_of(event), _origin(event)) for event in events])
        await _delivered([await self._publish(each) for each in result.closed])
        states = {partition_key(p): (state.encode(), p) for p, state in self._monitor.partitions.items()}
        await _delivered([[await self._post.write(key, value, p)] for key, (value, p) in states.items()])
        await _delivered([[await self._post.write(key, value)] for key, value in result.customers.items()])
        for key, (value, _) in states.items():
            self._post.keep(key, value)
        for key, customer in result.customers.items():
            self._post.keep(key, customer)
        self._records.inc(len(events))

    async def _publish(self, closed: Closed) -> list[Awaitable[Any]]:
        reading, trip = closed.reading, closed.trip
        key, now = reading.segment.encode(), datetime.now(UTC)
        sent = []
        if trip is not None:
            _log.warning("%s has drifted: %s", trip.segment, trip.sizes)
            self._trips.labels(trip.segment).inc()
            sent.append(await self._post.send(DRIFT, key, trip.to_wire(), headers_for(trip, SOURCE, now)))
        self._readings.labels(reading.segment).inc()
        sent.append(
            await self._post.send(DRIFT_READINGS, key, reading.to_wire(), headers_for(reading, SOURCE, now))
        )
        return sent

    def _take_moves(self, messages: list[Message]) -> None:
        for customer, move in newest(messages, lambda value: decode(SegmentMove, value)).items():
            if move is None:
                self._moved.pop(customer, None)
            else:
                self._moved[customer] = move.to_segment

    def _topic_of(self, event: EventT) -> Topic:
        topic = topic_called(self._settings, event.message.topic)
        assert topic is not None, f"nobody subscribed to {event.message.topic}"
        return topic

    def _held(self) -> set[int]:
        profiles = topic_name(self._settings, PROFILES)
        return {tp.partition for tp in self._app.consumer.assignment() if tp.topic == profiles}


def run(settings: Settings, stop: threading.Event, member: str = "0") -> None:
    """Watch until `stop` is set. Raises `TwinsError` if Kafka or its topics are not to be had."""
    with Telemetry(NAME, settings) as telemetry:
        if settings.log_level != "DEBUG":
            for library in CHATTY:
                logging.getLogger(library).setLevel(logging.WARNING)
        asyncio.run(_run(settings, telemetry, member, stop))


async def _run(settings: Settings, telemetry: Telemetry, member: str, stop: threading.Event) -> None:
    await DriftProcess(settings, telemetry, member).run(stop)


async def _delivered(sent: list[list[Awaitable[Any]]]) -> None:
    await asyncio.gather(*(each for some in sent for each in some))


def _origin(event: EventT) -> Origin:
    message = event.message
    return Origin(message.topic, message.partition, message.offset, message.key, message.value, [])
