"""Planners to start, feed and watch on the real broker."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from streams.agents.process import run
from streams.kafka import Publisher, consumer, topic_name
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import (
    ASKS,
    CATALOG,
    CLICKSTREAM,
    DEAD_LETTERS,
    PLANNER_STATE,
    PRODUCTS,
    PROFILES,
    PROMOTIONS,
    QUERIES,
    REQUESTS,
    VECTORS,
)
from tests.streams.agents.people import at
from twin_store.messages import Profile, Query, Request, Subject

TOPICS = [
    ASKS, CATALOG, CLICKSTREAM, DEAD_LETTERS, PLANNER_STATE, PRODUCTS, PROFILES, PROMOTIONS, QUERIES, REQUESTS, VECTORS
]  # fmt: skip
PATIENCE_S = 60.0
DUE = {"milk": 1.2, "bread": 0.9}
PROGRAM = """
import signal, sys, threading
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
from streams.agents.process import run
from streams.settings import load_settings
run(load_settings(), stop, sys.argv[1])
"""


def open_shop(settings: Settings) -> Settings:
    """Create the planner's topics; the limits of these settings do not bite."""
    generous = settings.model_copy(update={"query_budget_per_day": 1_000, "session_timeout_ms": 6_000})
    apply_topics(generous, topics=TOPICS)
    return generous


@contextmanager
def planner_in_thread(settings: Settings) -> Iterator[None]:
    """A planner in this process; what ends it is raised at the end."""
    stop, failures = threading.Event(), []

    def plan() -> None:
        try:
            run(settings, stop)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=plan)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert failures == []


def planner_process(settings: Settings, member: str = "0") -> subprocess.Popen[bytes]:
    """A planner of its own, that can be killed."""
    variables = {
        "TWINS_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "TWINS_TOPIC_PREFIX": settings.topic_prefix,
        "TWINS_DATA_DIR": str(settings.data_dir),
        "TWINS_QUERY_BUDGET_PER_DAY": str(settings.query_budget_per_day),
        "TWINS_SESSION_TIMEOUT_MS": str(settings.session_timeout_ms),
        "TWINS_LOG_LEVEL": "WARNING",
    }
    return subprocess.Popen([sys.executable, "-c", PROGRAM, member], env=os.environ | variables)


class Watch:
    """The queries raised so far, as often as they were, read as they come."""

    def __init__(self, settings: Settings) -> None:
        self.queries: list[Query] = []
        self._reader = consumer(settings, "watch")
        name = topic_name(settings, QUERIES)
        self._reader.assign([TopicPartition(name, p, OFFSET_BEGINNING) for p in range(settings.partitions)])

    @property
    def ids(self) -> set[str]:
        return {query.query_id for query in self.queries}

    def until(self, is_enough: Callable[[], bool]) -> None:
        """Read until it is enough."""
        latest = time.monotonic() + PATIENCE_S
        while not is_enough():
            assert time.monotonic() < latest, f"{len(self.queries)} queries after {PATIENCE_S:.0f} s"
            for message in self._reader.consume(100, 0.02):
                if message.error() is None:
                    self.queries.append(Query.model_validate_json(message.value()))

    def until_count(self, count: int) -> None:
        """Read until so many records have come."""
        self.until(lambda: len(self.queries) >= count)

    def close(self) -> None:
        self._reader.close()


def publish_profiles(settings: Settings, profiles: Sequence[Profile]) -> None:
    with Publisher(settings) as publisher:
        for message in profiles:
            publisher.publish(PROFILES, message.customer_id.encode(), message.to_wire())


def request(request_id: str, subject: Subject, kind: str = "purchase", **fields: object) -> Request:
    return Request.model_validate(
        {"request_id": request_id, "kind": kind, "requested_at": at(1), "subject": subject} | fields
    )
