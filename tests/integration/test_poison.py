"""Every kind of poison on every topic a retailer writes: one letter each, and what comes after is used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from streams import indexer
from streams.agents import process as planner
from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import CATALOG, CUSTOMERS, DEAD_LETTERS, PROMOTIONS, TRANSACTIONS, Topic
from streams.updater import process as updater
from tests.streams.agents.people import promotion
from tests.streams.poisoned import Expected, check_letters, publish_poison
from tests.streams.running import eventually, running
from twin_store.messages import CatalogItem, Customer, DeadLetter, Transaction, TransactionLine
from twin_store.messages.base import Message
from twin_store.messages.codec import decode

pytestmark = pytest.mark.broker
NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
LINE = TransactionLine(sku="milk", quantity=1.0, net="1.20")
GOOD: dict[Topic, Message] = {
    PROMOTIONS: promotion("d1", "display", ["tea"]),
    CATALOG: CatalogItem(sku="tea", updated_at=NOON, name="Tea"),
    CUSTOMERS: Customer(customer_id="anna", updated_at=NOON),
    TRANSACTIONS: Transaction(
        transaction_id="t1", customer_id="anna", occurred_at=NOON, currency="USD", lines=[LINE]
    ),
}
OWNERS: dict[Topic, Callable[[Settings, threading.Event], None]] = {
    PROMOTIONS: planner.run,
    CATALOG: indexer.run,
    CUSTOMERS: updater.run,
    TRANSACTIONS: updater.run,
}


def told_of(key_field: str) -> Expected:
    """What must be said of the kinds that there are on every topic."""
    return {
        "broken_json": (None, "Invalid JSON: EOF"),
        "truncated_utf8": (None, "invalid unicode"),
        "wrong_type": (key_field, "should be a valid string"),
        "unknown_version": ("version", "unknown major version '9.0'"),
        "huge_string": (key_field, "at most 128 characters"),
        "missing_field": (key_field, "Field required"),
    }


RECEIPTS: Expected = {
    "absurd_quantity": ("lines[0].quantity", "less than or equal to 1000000"),
    "absurd_price": ("lines[0].net", "at most 14 characters"),
    "not_a_number": ("lines[0].quantity", "a finite number"),
    "lines_not_a_list": ("lines", "a valid array"),
    "wrong_currency": ("currency", "currency is XTS"),
    "year_1900": ("occurred_at", "outside 1970-01-01"),
    "year_9999": ("occurred_at", "outside 1970-01-01"),
}
EXPECTED = {topic: told_of(topic.key_fields[0]) for topic in GOOD} | {
    TRANSACTIONS: told_of("transaction_id") | RECEIPTS
}


@pytest.fixture
def deployed(settings: Settings) -> Settings:
    settings = settings.model_copy(update={"partitions": 2, "session_timeout_ms": 6_000})
    apply_topics(settings)
    return settings


@pytest.mark.parametrize("topic", GOOD, ids=lambda topic: topic.name)
def test_every_kind_of_poison_has_its_letter(deployed: Settings, topic: Topic) -> None:
    key, good = key_of(topic), GOOD[topic].to_wire()
    with Publisher(deployed) as publisher:
        publisher.publish(topic, key, good)
    poison = publish_poison(deployed, topic, key, good)
    with running(lambda stop: OWNERS[topic](deployed, stop)):
        check_letters(deployed, topic, poison, EXPECTED[topic])


def test_a_planner_that_reads_its_tables_again_writes_no_letter_again(deployed: Settings) -> None:
    """And what its schema cannot say of a promotion is found too."""
    backwards = promotion("d2", "display", ["tea"], days=(2, 1)).to_wire()

    def written(count: int) -> Callable[[], bool]:
        return lambda: len(letters(deployed)) == count

    for number, value in enumerate((b"{", backwards), 1):
        with Publisher(deployed) as publisher:
            publisher.publish(PROMOTIONS, b"d2", value)
        with running(lambda stop: planner.run(deployed, stop)):
            eventually(written(number), f"{number} letters")
    assert [letter.place for letter in letters(deployed)] == [None, "ends_at"]


def key_of(topic: Topic) -> bytes:
    return str(getattr(GOOD[topic], topic.key_fields[0])).encode()


def letters(settings: Settings) -> list[DeadLetter]:
    """All that were written, however many are about one origin."""
    return [decode(DeadLetter, message.value()) for message in read_to_end(settings, DEAD_LETTERS)]
