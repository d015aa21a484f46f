"""A till and a CRM in one loop: publishes receipts at a steady rate and sees when the profiles tell of them."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence

import msgspec
import numpy as np
from confluent_kafka import Message, Producer, TopicPartition

from streams.errors import TwinsError
from streams.kafka import Headers, consumer, partition_for, topic_name
from streams.positions import PositionReader
from streams.settings import Settings, kafka_client_config
from streams.sources.complete_journey.journey import SOURCE
from streams.sources.record import Record
from streams.sources.schedule import HeadersBySource
from streams.topics import PROFILES, TRANSACTIONS

READ_S = 0.001
READ_MAX = 500
DRAIN_TIMEOUT_S = 120.0
FLUSH_TIMEOUT_S = 10.0
Prepared = tuple[Record, Headers]
_log = logging.getLogger(__name__)


class _Offset(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class _Profile(msgspec.Struct):
    offsets: list[_Offset]


def prepare(receipts: Sequence[Record]) -> list[Prepared]:
    """Receipts with their headers, so that publishing one takes microseconds."""
    headers = HeadersBySource(SOURCE)
    return [(receipt, headers.of(receipt)) for receipt in receipts]


class FreshnessProbe:
    """Nobody else may publish receipts while it does: it tells from their order which offset each one gets."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = topic_name(settings, TRANSACTIONS)
        with contextlib.closing(PositionReader(settings)) as positions:
            receipts = positions.ends([TRANSACTIONS], open_transactions=True)
            profiles = positions.ends([PROFILES])
        self._next = {partition: end for (_, partition), end in receipts.items()}
        self._waiting: dict[bytes, deque[tuple[int, float]]] = {}
        self._unseen = 0
        self._seconds: list[float] = []
        self._decode = msgspec.json.Decoder(_Profile).decode
        self._producer = _till(settings)
        self._reader = consumer(settings, "freshness")
        name = topic_name(settings, PROFILES)
        self._reader.assign([TopicPartition(name, p, end) for (_, p), end in profiles.items()])

    def close(self) -> None:
        """Stop publishing and reading."""
        self._producer.flush(FLUSH_TIMEOUT_S)
        self._reader.close()

    def run(self, receipts: Sequence[Prepared], per_s: float) -> tuple[np.ndarray, float]:
        """Publish at this rate and wait for the last profile.

        Returns:
            Milliseconds of each receipt, from its publication to the first profile that includes it; and how many
            receipts a second were really published.
        """
        self._seconds = []
        sent, took = 0, 0.0
        began = time.perf_counter()
        while sent < len(receipts) or self._unseen:
            since = time.perf_counter() - began
            due = min(len(receipts), 1 + int(since * per_s))
            for receipt, headers in receipts[sent:due]:
                self._publish(receipt, headers)
            if sent < due:
                sent, took = due, time.perf_counter() - began
                self._producer.poll(0)
            elif since - took > DRAIN_TIMEOUT_S:
                raise TwinsError(f"{self._unseen} receipts are in no profile after {DRAIN_TIMEOUT_S:.0f} s")
            self._see(self._reader.consume(READ_MAX, READ_S))
        return 1000 * np.array(self._seconds), len(receipts) / took

    def _publish(self, receipt: Record, headers: Headers) -> None:
        partition = partition_for(receipt.key, self._settings.partitions)
        offset = self._next[partition]
        self._next[partition] += 1
        self._waiting.setdefault(receipt.key, deque()).append((offset, time.perf_counter()))
        self._unseen += 1
        self._producer.produce(self._topic, receipt.value, receipt.key, partition, headers=list(headers))

    def _see(self, messages: list[Message]) -> None:
        now = time.perf_counter()
        for message in messages:
            waiting = self._waiting.get(message.key() or b"")
            if message.error() is not None or not waiting:
                continue
            offsets = self._decode(message.value() or b"").offsets
            included = next((each.offset for each in offsets if each.topic == self._topic), 0)
            while waiting and waiting[0][0] < included:
                self._seconds.append(now - waiting.popleft()[1])
                self._unseen -= 1


def _till(settings: Settings) -> Producer:
    """A producer with one request under way at a time.

    With five of them out, which is what idempotence allows, librdkafka spins until one comes back: it would take the
    core from the broker that it waits for.
    """
    options = {"acks": "all", "enable.idempotence": True, "compression.type": "lz4", "linger.ms": 5}
    return Producer(kafka_client_config(settings) | options | {"max.in.flight": 1}, logger=_log)
