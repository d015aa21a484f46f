"""Every kind of poison on every topic a retailer writes: one letter each, and what comes after is used."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streams import indexer
from streams.agents import process as planner
from streams.dead_letter_replay import mend_by_bodies, read_bodies, replay
from streams.dead_letters import Selection, origin_of, read_letters
from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import CATALOG, CUSTOMERS, DEAD_LETTERS, LATE, PROMOTIONS, TRANSACTIONS, Topic
from streams.updater import process as updater
from tests.chaos.updaters import lag, published_profiles
from tests.streams.agents.people import at, promotion
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
    good = json.loads(GOOD[PROMOTIONS].to_wire())
    backwards = json.dumps(good | {"starts_at": good["ends_at"], "ends_at": good["starts_at"]}).encode()

    def written(count: int) -> Callable[[], bool]:
        return lambda: len(letters(deployed)) == count

    for number, value in enumerate((b"{", backwards), 1):
        with Publisher(deployed) as publisher:
            publisher.publish(PROMOTIONS, b"d2", value)
        with running(lambda stop: planner.run(deployed, stop)):
            eventually(written(number), f"{number} letters")
    assert [letter.place for letter in letters(deployed)] == [None, "ends_at"]


def test_mended_letters_are_folded_once_however_often_they_are_replayed(
    deployed: Settings, tmp_path: Path
) -> None:
    """Of every kind, by a file of whole bodies as `twins dlq replay --file` takes it, and what was too late too."""
    key, good = key_of(TRANSACTIONS), json.loads(GOOD[TRANSACTIONS].to_wire())
    poison = publish_poison(deployed, TRANSACTIONS, key, json.dumps(good).encode())
    with running(lambda stop: updater.run(deployed, stop)):
        with Publisher(deployed) as publisher:
            for day in (0, -20):
                body = good | {"transaction_id": f"d{day}", "occurred_at": at(day).isoformat()}
                publisher.publish(TRANSACTIONS, key, json.dumps(body).encode())
        check_letters(deployed, TRANSACTIONS, poison, EXPECTED[TRANSACTIONS])
        eventually(lambda: len(list(read_letters(deployed, Selection(), LATE))) == 1, "the late letter")
        bodies = {
            "/".join(map(str, each.origin)): good | {"transaction_id": f"mended-{each.kind}"}
            for each in poison
        }
        late = {origin_of(letter): good for letter in read_letters(deployed, Selection(), LATE)}
        everything = file_of(tmp_path / "mended", bodies), file_of(tmp_path / "late", late)
        assert [
            replay_twice(deployed, *each) for each in zip(everything, (DEAD_LETTERS, LATE), strict=True)
        ] == [
            [len(poison), 0],
            [1, 0],
        ]
        eventually(lambda: receipts_of_anna(deployed) == len(poison) + 2, "what was mended to be folded")
        before = hash_of_anna(deployed)
        with Publisher(deployed) as publisher:  # as somebody does who does not trust the marks
            for body in bodies.values():
                publisher.publish(TRANSACTIONS, key, json.dumps(body).encode())
        eventually(lambda: lag(deployed, updater.NAME, TRANSACTIONS) == 0, "the repeats to be read")
    assert hash_of_anna(deployed) == before
    assert receipts_of_anna(deployed) == len(poison) + 2
    assert list(read_letters(deployed, Selection())) == list(read_letters(deployed, Selection(), LATE)) == []


def file_of(path: Path, bodies: Mapping[str, Any]) -> Path:
    path.write_text("".join(json.dumps({"origin": o, "body": b}) + "\n" for o, b in bodies.items()))
    return path


def replay_twice(settings: Settings, file: Path, topic: Topic) -> list[int]:
    """How many letters each of two replays of a file published."""
    bodies = read_bodies(file)
    selection = Selection(origins=frozenset(bodies))
    return [
        replay(settings, selection, mend_by_bodies(bodies), letters_topic=topic).replayed for _ in range(2)
    ]


def receipts_of_anna(settings: Settings) -> int:
    return int(published_profiles(settings)["anna"]["dna"]["activity"]["receipts"])


def hash_of_anna(settings: Settings) -> str:
    return str(published_profiles(settings)["anna"]["content_hash"])


def key_of(topic: Topic) -> bytes:
    return str(getattr(GOOD[topic], topic.key_fields[0])).encode()


def letters(settings: Settings) -> list[DeadLetter]:
    """All that were written, however many are about one origin."""
    return [decode(DeadLetter, message.value()) for message in read_to_end(settings, DEAD_LETTERS)]
