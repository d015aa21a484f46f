"""Publishes records at a chosen pace: times real time, or as fast as Kafka takes them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import xxhash

from streams.kafka import Headers, Publisher, admin, partitions_of, topic_name
from streams.settings import Settings
from streams.sources.record import Record
from streams.topics import Topic
from twin_store.messages.base import format_instant
from twin_store.messages.codec import instant_of

PROGRESS_EVERY_S = 0.2
PROGRESS_EVERY_RECORDS = 500
SOURCE = "/twins"


@dataclass
class Published:
    """What has been published so far. Lines and minor units count each receipt once."""

    messages: Counter[str] = field(default_factory=Counter)  # by topic, without the deployment's prefix
    bytes: int = 0
    lines: int = 0
    net_minor: int = 0
    first_at: int | None = None
    last_at: int | None = None
    wall_s: float = 0.0
    stopped: bool = False

    def add(self, record: Record) -> None:
        """Count one record."""
        self.messages[record.topic.name] += 1
        self.bytes += len(record.value or b"")
        self.lines += record.lines
        self.net_minor += record.net_minor
        if self.first_at is None:
            self.first_at = record.arrives_at
        self.last_at = record.arrives_at


def publish(
    settings: Settings,
    records: Iterable[Record],
    speed: float | None = None,
    *,
    source: str = SOURCE,
    on_progress: Callable[[Published], None] | None = None,
    stop: threading.Event | None = None,
) -> Published:
    """Publish records in their order and wait until Kafka has them all.

    Args:
        settings: the deployment.
        records: in order of arrival.
        speed: times real time, from the first record on; None is as fast as possible.
        source: CloudEvents `source` of the messages.
        on_progress: called now and then with what has been published so far.
        stop: once set, no further record is published.

    Raises:
        KafkaReadError: if a topic does not exist.
        DeliveryError: if Kafka did not take a record.
    """
    done = Published()
    began = time.monotonic()
    pace = _Pace(speed, stop or threading.Event())
    headers = HeadersBySource(source)
    reported = began
    with Publisher(settings) as publisher:
        for count, record in enumerate(records):
            if not pace.wait_for(record):
                done.stopped = True
                break
            if record.topic.name not in done.messages:
                partitions_of(admin(settings), topic_name(settings, record.topic))
            publisher.publish(record.topic, record.key, record.value, headers.of(record))
            done.add(record)
            if on_progress is not None and (speed or count % PROGRESS_EVERY_RECORDS == 0):
                now = time.monotonic()
                if now - reported > PROGRESS_EVERY_S:
                    reported, done.wall_s = now, now - began
                    on_progress(done)
    done.wall_s = time.monotonic() - began
    if on_progress is not None:
        on_progress(done)
    return done


class _Pace:
    """Holds each record back until its time has come, counted from the first one."""

    def __init__(self, speed: float | None, stop: threading.Event) -> None:
        self._speed = speed
        self._stop = stop
        self._began = time.monotonic()
        self._first: int | None = None

    def wait_for(self, record: Record) -> bool:
        """Return when the record is due; False if stopped before."""
        if self._speed is not None:
            if self._first is None:
                self._first, self._began = record.arrives_at, time.monotonic()
            due = self._began + (record.arrives_at - self._first) / self._speed
            while (rest := due - time.monotonic()) > 0:
                if self._stop.wait(rest):
                    return False
        return not self._stop.is_set()


class HeadersBySource:
    """CloudEvents attributes in Kafka's binary mode. The id is a hash of the body, so a retry keeps it."""

    def __init__(self, source: str) -> None:
        self._source = source.encode()
        self._fixed: dict[str, list[tuple[str, bytes | None]]] = {}

    def of(self, record: Record) -> Headers:
        """The headers of one message."""
        fixed = self._fixed.get(record.topic.name)
        if fixed is None:
            fixed = self._fixed[record.topic.name] = self._fixed_of(record.topic)
        event_id = xxhash.xxh3_128_hexdigest(record.value or record.key).encode()
        at = format_instant(instant_of(record.at_seconds)).encode()
        return [("ce_id", event_id), ("ce_time", at), *fixed]

    def _fixed_of(self, topic: Topic) -> list[tuple[str, bytes | None]]:
        message = topic.message
        return [
            ("ce_specversion", b"1.0"),
            ("ce_source", self._source),
            ("ce_type", message.cloud_event_type().encode() if message else b""),
            ("content-type", b"application/json"),
        ]
