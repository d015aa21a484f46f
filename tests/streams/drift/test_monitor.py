"""The drift monitor: every trip and outcome counts once, over restarts, and a closed window speaks once."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest

from streams.agents.drift_monitor import DriftMonitor, partition_key
from streams.agents.drift_process import run
from streams.agents.drift_readings import Closed, Judge
from streams.dead_letters import Origin
from streams.drift_readings import read_drift
from streams.kafka import Publisher
from streams.settings import Settings
from streams.topic_admin import apply_topics
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
from tests.streams.agents.people import profile
from tests.streams.running import eventually, running
from trainer.drift.rule import Thresholds
from trainer.drift.visits import DAY_S
from twin_store.messages import Message, Outcome, SegmentMove

WEEK = timedelta(weeks=1)
MONDAY = datetime.fromisoformat("2024-05-06T00:00:00+00:00")
CUSTOMERS = [f"c{number}" for number in range(24)]
WEEKS = 8
BROKEN_FROM = 5
SEGMENT = "regulars"
Published = list[tuple[Topic, Message]]


def outcome(customer: str, at: datetime, chance: random.Random, share: float) -> Outcome:
    """Twenty options that were said to come true with .3, and do with `share`."""
    return Outcome(
        query_id=f"{customer}-{at.isoformat()}", kind="purchase", customer_id=customer, as_of=at, settled_at=at,
        settled_by="receipt", truths=[int(chance.random() < share) for _ in range(20)],
        probabilities=[0.3] * 20, decider="evidence", decider_version="v1",
    )  # fmt: skip


def weeks() -> Published:
    """A visit and an outcome a customer and week, in order of time; what is said stops being true at BROKEN_FROM."""
    chance = random.Random(7)
    found: Published = []
    for number in range(WEEKS + 1):
        for place, customer in enumerate(CUSTOMERS):
            at = MONDAY + number * WEEK + timedelta(hours=3 + 6 * place)
            twin = profile(0, customer, stores={"1": number + 1})
            activity = twin.dna.activity.model_copy(
                update={"receipts": number + 1, "lines": 5 * (number + 1), "last_seen": at}
            )
            dna = twin.dna.model_copy(update={"activity": activity})
            found.append((PROFILES, twin.model_copy(update={"as_of": at, "dna": dna})))
            found.append((OUTCOMES, outcome(customer, at, chance, 0.3 if number < BROKEN_FROM else 0.05)))
    return found


def origins(published: Published) -> list[tuple[Topic, Origin]]:
    offsets: dict[str, int] = {}
    found = []
    for topic, message in published:
        offset = offsets[topic.name] = offsets.get(topic.name, -1) + 1
        key = message.customer_id.encode()  # type: ignore[attr-defined]
        found.append((topic, Origin(topic.name, 0, offset, key, message.to_wire(), [])))
    return found


class Member:
    """A monitor whose memory is a dictionary, as a table's would be."""

    def __init__(self, kept: dict[bytes, bytes]) -> None:
        self.kept = kept
        self.judge = Judge(7 * DAY_S, lambda _: None, lambda _: Thresholds())
        self.monitor = DriftMonitor(self.judge, kept.get, lambda _: SEGMENT)

    def take(self, records: Iterable[tuple[Topic, Origin]]) -> list[Closed]:
        done = self.monitor.take(records)
        for number, state in self.monitor.partitions.items():
            self.kept[partition_key(number)] = state.encode()
        for key, value in done.customers.items():
            if value is not None:
                self.kept[key] = value
        return done.closed


def summary(closed: list[Closed]) -> list[tuple[Any, ...]]:
    return [(c.reading.window_end, c.reading.visits, c.reading.options, c.trip is not None) for c in closed]


def test_windows_close_in_order_and_the_second_bad_one_trips() -> None:
    closed = Member({}).take(origins(weeks()))
    assert [c.reading.window_end for c in closed] == [MONDAY + (n + 1) * WEEK for n in range(len(closed))]
    assert len(closed) in (WEEKS - 1, WEEKS)
    assert {c.reading.options for c in closed} == {20 * len(CUSTOMERS)}
    assert [c.reading.visits for c in closed] == [0, *[len(CUSTOMERS)] * (len(closed) - 1)], (
        "the first is no gap"
    )
    assert [n for n, c in enumerate(closed) if c.trip is not None] == [BROKEN_FROM + 1]
    trip = closed[BROKEN_FROM + 1].trip
    assert trip is not None
    assert (trip.measure, trip.segment) == ("performance", SEGMENT)
    assert trip.sizes["gap_z"] < -4
    assert trip.sizes["gap"] == pytest.approx(-0.25, abs=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_restarts_and_repeats_change_nothing(seed: int) -> None:
    chance = random.Random(seed)
    records = origins(weeks())
    expected = summary(Member({}).take(records))
    kept: dict[bytes, bytes] = {}
    member, found, at = Member(kept), [], 0
    while at < len(records):
        end = min(len(records), at + chance.randint(1, 120))
        found += member.take(records[max(0, at - chance.randint(0, 30)) : end])  # some come again
        at = end
        if chance.random() < 0.4:
            member = Member(kept)
            for each in found:  # as the process reads its readings back
                member.judge.recall(each.reading)
    assert summary(found) == expected


def test_a_window_that_was_read_speaks_no_second_time() -> None:
    """Killed after its reading was delivered and before its state was: the window is closed again."""
    records = origins(weeks())
    first = Member({}).take(records)
    again = Member({})
    for each in first:
        again.judge.recall(each.reading)
    assert again.take(records) == []


def test_nonsense_is_passed_over() -> None:
    good = origins(weeks())
    bad = [
        (topic, Origin(topic.name, 0, 1_000 + place, b"c1", value, []))
        for place, (topic, value) in enumerate(
            [(PROFILES, b"{"), (OUTCOMES, b"{}"), (PROFILES, b"\xff"), (OUTCOMES, None)]
        )
    ]
    assert summary(Member({}).take([*good, *bad])) == summary(Member({}).take(good))


@pytest.mark.broker
def test_the_process_on_kafka_survives_a_restart(settings: Settings) -> None:
    settings = settings.model_copy(update={"partitions": 2, "session_timeout_ms": 6_000})
    topics = [DRIFT, DRIFT_READINGS, DRIFT_STATE, OUTCOMES, PROFILES, SCHEDULE, SEGMENT_MOVES]
    apply_topics(settings, topics=topics)
    published = weeks()
    half = len(published) // 2

    def publish(some: Published) -> None:
        with Publisher(settings) as publisher:
            for topic, message in some:
                key = message.customer_id.encode()  # type: ignore[attr-defined]
                publisher.publish(topic, key, message.to_wire())

    moves: Published = [
        (
            SEGMENT_MOVES,
            SegmentMove(
                customer_id=customer,
                definitions="personas-1",
                from_segment="newcomers",
                to_segment=SEGMENT,
                moved_at=MONDAY,
            ),
        )
        for customer in CUSTOMERS
    ]
    publish(moves)
    publish(published[:half])
    with running(lambda stop: run(settings, stop)):
        eventually(lambda: len(read_drift(settings).readings) >= 3, "the first windows")
    publish(published[half:])
    with running(lambda stop: run(settings, stop)):
        eventually(lambda: len(read_drift(settings).trips) == 1, "the trip")
    found = read_drift(settings)
    assert [trip.segment for trip in found.trips] == [SEGMENT]
    assert {each.options for each in found.readings} == {20 * len(CUSTOMERS)}, "none lost, none twice"
    assert [each.visits for each in found.readings][1:] == [len(CUSTOMERS)] * (len(found.readings) - 1)
