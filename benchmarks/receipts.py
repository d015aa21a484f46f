"""Receipts that wait on the broker until a reader may have them, and what they add up to.

They are held back in an open transaction. So all of them are on the broker before anybody reads one, and what is
measured then is the reader, with nobody else at work.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from confluent_kafka import Producer

from streams.errors import TwinsError
from streams.kafka import Headers, producer, read_to_end, topic_name
from streams.settings import Settings
from streams.sources.complete_journey.journey import SOURCE
from streams.sources.record import Record
from streams.sources.schedule import HeadersBySource, Published
from streams.topics import PROFILES

KAFKA_TIMEOUT_S = 60.0
HELD_MAX_MS = 900_000  # the broker ends a transaction that is open for longer
POLL_EVERY = 1_000


class Totals(NamedTuple):
    """What receipts add up to."""

    lines: int
    cents: int


WHOLE_JOURNEY = Totals(1_469_307, 459_603_958)
"""The Complete Journey, first to last receipt, as its tables have it."""


class HeldBack:
    """Receipts that are on the broker and that no reader gets before `release`."""

    def __init__(self, settings: Settings, receipts: Iterable[Record]) -> None:
        patient = settings.model_copy(update={"transaction_timeout_ms": HELD_MAX_MS})
        self._producer = producer(patient, transactional_id="receipts")
        self._producer.init_transactions(KAFKA_TIMEOUT_S)
        self._producer.begin_transaction()
        headers = HeadersBySource(SOURCE)
        published = Published()
        for number, receipt in enumerate(receipts):
            _send(self._producer, topic_name(settings, receipt.topic), receipt, headers.of(receipt))
            published.add(receipt)
            if number % POLL_EVERY == 0:
                self._producer.poll(0)
        self._producer.flush(KAFKA_TIMEOUT_S)
        self.totals = Totals(published.lines, published.net_minor)
        self.count = published.messages.total()

    def release(self) -> None:
        """Let readers have them, all at once. Raises `KafkaException` if one was not delivered."""
        self._producer.commit_transaction(KAFKA_TIMEOUT_S)


def check_totals(settings: Settings, expected: Totals) -> int:
    """How many customers have a profile. Raises `TwinsError` if these do not add up to what was published."""
    newest = {message.key(): message.value() for message in read_to_end(settings, PROFILES)}
    told = [json.loads(value)["dna"]["activity"] for value in newest.values() if value]
    activities = [activity for activity in told if activity["receipts"]]
    found = Totals(
        sum(activity["lines"] for activity in activities),
        sum(round(100 * float(activity["spend"])) for activity in activities),
    )
    if found != expected:
        raise TwinsError(
            f"the published profiles add up to {found.lines:,} lines and {found.cents:,} cents, "
            f"the receipts to {expected.lines:,} and {expected.cents:,}"
        )
    return len(activities)


def _send(to: Producer, topic: str, record: Record, headers: Headers) -> None:
    while True:
        try:
            to.produce(topic, record.value, record.key, headers=list(headers))
            return
        except BufferError:
            to.poll(0.1)
