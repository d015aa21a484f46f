"""`verify` through the real broker: exact under faults, while streaming, and blind to nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from streams import lake_writer
from streams.kafka import Publisher
from streams.live_profiles import live_profiles
from streams.positions import PositionReader, lag
from streams.settings import Settings
from streams.sources.chaos import Chaos, ChaosReport, inject
from streams.sources.complete_journey import CompleteJourney
from streams.sources.schedule import publish
from streams.topic_admin import apply_topics
from streams.topics import (
    CLICKSTREAM,
    CUSTOMERS,
    ERASURE,
    PROFILES,
    TRANSACTIONS,
    TRANSFERS,
)
from streams.updater import process
from streams.verify import SOURCES, LakeBehindError, verify
from tests.streams.running import eventually, running
from twin_store.messages import Click, Customer, Erasure, Transaction
from twin_store.messages.base import Message

pytestmark = pytest.mark.broker

UNTIL = datetime(2017, 2, 1, tzinfo=UTC)


@contextmanager
def shop(settings: Settings) -> Iterator[None]:
    """The updater and the lake writer at work."""
    with running(lambda stop: process.run(settings, stop), lambda stop: lake_writer.run(settings, stop)):
        yield


def drained(settings: Settings) -> bool:
    sources = (*SOURCES, TRANSFERS)
    with contextlib.closing(PositionReader(settings)) as reader:
        return lag(reader.ends(sources), reader.committed("updater", sources)) == 0


@pytest.fixture
def deployment(settings: Settings) -> Settings:
    settings = settings.model_copy(update={"partitions": 2, "lake_flush_s": 0.2})
    apply_topics(settings)
    return settings


def send(settings: Settings, topic_messages: list[tuple[object, str, Message]]) -> None:
    with Publisher(settings) as publisher:
        for topic, key, message in topic_messages:
            publisher.publish(topic, key.encode(), message.to_wire())  # type: ignore[arg-type]


def test_a_month_of_receipts_with_every_fault(deployment: Settings) -> None:
    records = CompleteJourney().records(until=UNTIL, customers=40, topics=(CUSTOMERS, TRANSACTIONS))
    report = ChaosReport()
    faults = Chaos(duplicates=0.1, out_of_order=0.2, late_s=7 * 86_400, poison=0.01, seed=3)
    with shop(deployment):
        publish(deployment, inject(records, faults, report))
        # At once: whatever has been folded by now must be what the lake gives for it.
        while_streaming = verify(deployment)
        eventually(lambda: drained(deployment), "the updater to fold everything")
        found = verify(deployment)
    assert report.duplicates > 0
    assert report.poison.total() > 0
    assert while_streaming.divergent == 0, while_streaming.divergences
    assert (found.divergent, found.unsettled) == (0, 0), found.divergences
    assert found.total == len(live_profiles(deployment)) >= 30
    assert found.receipts > 100
    assert json.loads(json.dumps(found.as_json()))["divergent"] == 0


def test_links_and_erasures_are_followed(deployment: Settings) -> None:
    at = datetime(2024, 5, 1, 10, tzinfo=UTC)

    def receipt(customer: str, number: int) -> tuple[object, str, Message]:
        body = {
            "transaction_id": f"{customer}-{number}",
            "customer_id": customer,
            "occurred_at": at.replace(day=number),
            "currency": "USD",
            "lines": [{"sku": f"sku-{number}", "quantity": 1.0, "net": "1.00"}],
        }
        return TRANSACTIONS, customer, Transaction.model_validate(body)

    customers = [f"c{n}" for n in range(5)]
    events = [receipt(customer, number) for customer in customers for number in range(1, 6)]
    for number in range(4):
        body = {"event_id": f"e{number}", "session_id": "s", "action": "view", "sku": "milk"}
        click = Click.model_validate(body | {"anonymous_id": "visitor", "occurred_at": at})
        events.append((CLICKSTREAM, "visitor", click))
    link = Customer(customer_id="c0", updated_at=at, demographics={"age": "30"}, anonymous_ids=["visitor"])
    with shop(deployment):
        send(deployment, events)
        send(deployment, [(CUSTOMERS, "c0", link)])
        eventually(lambda: drained(deployment), "the updater to fold everything")
        send(deployment, [(ERASURE, "c1", Erasure(customer_id="c1", requested_at=at.replace(day=3)))])
        send(deployment, [(ERASURE, "c2", Erasure(customer_id="c2", requested_at=at.replace(day=9)))])
        eventually(lambda: drained(deployment), "the erasures to be carried out")
        eventually(lambda: "visitor" not in live_profiles(deployment), "the visitor to be handed over")
        found = verify(deployment)
    profiles = live_profiles(deployment)
    assert {customer: profile.events_folded for customer, profile in profiles.items()} == {
        "c0": 9, "c1": 2, "c3": 5, "c4": 5,
    }  # fmt: skip
    assert (found.total, found.divergent, found.unsettled) == (4, 0, 0), found.divergences


def test_what_differs_is_found_and_named(deployment: Settings) -> None:
    records = CompleteJourney().records(until=UNTIL, customers=12, topics=(TRANSACTIONS,))
    with shop(deployment):
        publish(deployment, records)
        eventually(lambda: drained(deployment), "the updater to fold everything")
        verify(deployment)
    profiles = live_profiles(deployment)
    wronged, lost, kept = sorted(profiles)[:3]
    body = json.loads(profiles[wronged].value)
    body["content_hash"] = "0" * 32
    body["events_folded"] += 1
    body["dna"]["activity"]["lines"] -= 1
    body["dna"]["promotion"]["deal_lift"] = 7.5  # against the products as they stood then: not the twin's
    with Publisher(deployment) as publisher:
        publisher.publish(PROFILES, wronged.encode(), json.dumps(body).encode())
        publisher.publish(PROFILES, lost.encode(), None)
        publisher.publish(PROFILES, b"nobody", profiles[kept].value)
    found = verify(deployment)
    assert (found.total, found.divergent) == (len(profiles) + 1, 3)
    by_customer = {each.customer_id: each.differences for each in found.divergences}
    assert set(by_customer) == {wronged, lost, "nobody"}
    assert any(line.startswith("events_folded: live") for line in by_customer[wronged])
    assert any(line.startswith("activity.lines: live") for line in by_customer[wronged])
    assert len(by_customer[wronged]) == 2
    assert "no profile" in by_customer[lost][0]
    assert "nothing of her is in the lake" in by_customer["nobody"][0]


def test_a_lake_that_is_behind_is_said_to_be(deployment: Settings) -> None:
    records = CompleteJourney().records(until=UNTIL, customers=3, topics=(TRANSACTIONS,))
    with running(lambda stop: process.run(deployment, stop)):
        publish(deployment, records)
        eventually(lambda: drained(deployment), "the updater to fold everything")
    with pytest.raises(LakeBehindError, match="is the lake writer running"):
        verify(deployment, wait_s=0.1)
