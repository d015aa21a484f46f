"""Bad, late and repeated input, a broker that goes away, ids that merge, customers who are forgotten."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streams.broker import DevBroker, free_port
from streams.dead_letter_replay import mend_by_assignments, replay
from streams.dead_letters import Selection, read_letters
from streams.kafka import Publisher, topic_name
from streams.settings import Settings
from streams.sources.chaos import Chaos, ChaosReport, inject
from streams.sources.complete_journey import CompleteJourney
from streams.sources.record import Record
from streams.sources.schedule import publish
from streams.topic_admin import apply_topics
from streams.topics import CLICKSTREAM, CUSTOMERS, ERASURE, LATE, TRANSACTIONS
from tests.chaos.updaters import Truth, UpdaterProcess, lag, published_profiles, told, wait_until_folded
from twin_store.messages import Click, Customer, Erasure, Transaction, TransactionLine

pytestmark = pytest.mark.broker
NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)


@pytest.fixture
def deployed(settings: Settings) -> Settings:
    apply_topics(settings)
    return settings


@pytest.fixture
def updater(deployed: Settings) -> Iterator[UpdaterProcess]:
    process = UpdaterProcess(deployed)
    process.start()
    yield process
    if process.running:
        process.kill()


def receipts(customers: int = 60) -> list[Record]:
    return list(CompleteJourney().records(customers=customers, topics=(TRANSACTIONS,)))


def wait_for(settings: Settings, condition, what: str, timeout_s: float = 60) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + timeout_s
    while not condition(published_profiles(settings)):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.3)


def test_duplicates_and_disorder_change_nothing_and_poison_is_set_aside(
    deployed: Settings, updater: UpdaterProcess
) -> None:
    records = receipts()
    report = ChaosReport()
    chaos = Chaos(duplicates=0.1, out_of_order=0.2, late_s=7 * 86_400, poison=0.01, seed=7)
    publish(deployed, inject(records, chaos, report))
    wait_until_folded(deployed)
    profiles = published_profiles(deployed)
    assert report.duplicates > 100
    assert report.overtaken > 100
    assert told(profiles) == Truth.of(records)

    sorted_prefix = deployed.model_copy(
        update={"topic_prefix": deployed.topic_prefix + "sorted.", "data_dir": deployed.data_dir / "sorted"}
    )
    apply_topics(sorted_prefix)
    publish(sorted_prefix, records)
    calm = UpdaterProcess(sorted_prefix)
    calm.start()
    wait_until_folded(sorted_prefix)
    calm.stop()
    straight = published_profiles(sorted_prefix)
    assert {c: p["content_hash"] for c, p in profiles.items()} == {
        c: p["content_hash"] for c, p in straight.items()
    }

    letters = list(read_letters(deployed, Selection()))
    assert len(letters) == sum(report.poison.values()) > 20
    for letter in letters:
        assert letter.origin_topic == topic_name(deployed, TRANSACTIONS)
        assert letter.reason
    origins = {(letter.origin_partition, letter.origin_offset) for letter in letters}
    assert len(origins) == len(letters)
    assert not list(read_letters(deployed, Selection(), LATE))


def test_a_mended_letter_is_folded_once_however_often_it_is_replayed(
    deployed: Settings, updater: UpdaterProcess
) -> None:
    good = receipt("t1", "anna", NOON)
    body = json.loads(good.to_wire()) | {"currency": "XXX"}
    with Publisher(deployed) as publisher:
        publisher.publish(TRANSACTIONS, b"anna", json.dumps(body).encode())
        publisher.publish(TRANSACTIONS, b"berta", receipt("t2", "berta", NOON).to_wire())
    wait_for(deployed, lambda profiles: set(profiles) == {"berta"}, "berta's profile")
    (letter,) = read_letters(deployed, Selection())
    assert letter.place == "currency"
    mend = mend_by_assignments(["currency=USD"])
    assert replay(deployed, Selection(), mend).replayed == 1
    assert replay(deployed, Selection(), mend).replayed == 0
    wait_for(deployed, lambda profiles: "anna" in profiles, "anna's profile")
    assert published_profiles(deployed)["anna"]["dna"]["activity"]["receipts"] == 1


def test_a_clock_from_the_future_is_a_dead_letter_and_an_old_event_is_late(
    deployed: Settings, updater: UpdaterProcess
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=3)
    with Publisher(deployed) as publisher:
        for number, instant in enumerate(
            (NOON, tomorrow, NOON - timedelta(days=20), NOON + timedelta(hours=1))
        ):
            publisher.publish(TRANSACTIONS, b"anna", receipt(f"t{number}", "anna", instant).to_wire())
    wait_until_folded(deployed)
    (dead,) = read_letters(deployed, Selection())
    assert dead.place == "occurred_at"
    (late,) = read_letters(deployed, Selection(), LATE)
    assert late.origin_offset == 2
    assert published_profiles(deployed)["anna"]["dna"]["activity"]["receipts"] == 2


def test_clicks_before_and_after_signing_in_end_in_the_customers_twin(
    deployed: Settings, updater: UpdaterProcess
) -> None:
    anonymous = [f"visitor-{n}" for n in range(6)]  # on several partitions
    with Publisher(deployed) as publisher:
        publisher.publish(TRANSACTIONS, b"anna", receipt("t1", "anna", NOON).to_wire())
        for n, visitor in enumerate(anonymous):
            publisher.publish(CLICKSTREAM, visitor.encode(), click(f"e{n}", visitor, NOON).to_wire())
    wait_for(deployed, lambda profiles: len(profiles) == 7, "a profile for each visitor")
    link = Customer(customer_id="anna", updated_at=NOON + timedelta(minutes=1), anonymous_ids=anonymous)
    with Publisher(deployed) as publisher:
        publisher.publish(CUSTOMERS, b"anna", link.to_wire())
    wait_for(deployed, lambda profiles: set(profiles) == {"anna"}, "the visitors' twins handed over")
    with Publisher(deployed) as publisher:
        for n, visitor in enumerate(anonymous):
            late = click(f"f{n}", visitor, NOON + timedelta(hours=1))
            publisher.publish(CLICKSTREAM, visitor.encode(), late.to_wire())
    wait_for(deployed, lambda profiles: profiles["anna"]["dna"]["funnel"]["view"] == 12, "12 views with anna")
    profiles = published_profiles(deployed)
    assert set(profiles) == {"anna"}
    assert profiles["anna"]["events_folded"] == 13
    assert profiles["anna"]["dna"]["activity"]["receipts"] == 1


def test_a_forgotten_customer_does_not_come_back_by_a_replay(
    deployed: Settings, updater: UpdaterProcess
) -> None:
    old = [(b"anna", receipt(f"t{n}", "anna", NOON + timedelta(hours=n)).to_wire()) for n in range(3)]
    forget = Erasure(customer_id="anna", requested_at=NOON + timedelta(days=1))
    with Publisher(deployed) as publisher:
        for key, value in old:
            publisher.publish(TRANSACTIONS, key, value)
    wait_for(deployed, lambda profiles: "anna" in profiles, "anna's profile")
    with Publisher(deployed) as publisher:
        publisher.publish(ERASURE, b"anna", forget.to_wire())
    wait_for(deployed, lambda profiles: not profiles, "anna's erasure")
    updater.kill()
    updater.start()
    again = receipt("t9", "anna", NOON + timedelta(days=2))
    with Publisher(deployed) as publisher:
        for key, value in old:
            publisher.publish(TRANSACTIONS, key, value)
        publisher.publish(TRANSACTIONS, b"anna", again.to_wire())
    wait_for(deployed, lambda profiles: "anna" in profiles, "anna's new profile")
    wait_until_folded(deployed)
    assert published_profiles(deployed)["anna"]["dna"]["activity"]["receipts"] == 1


@pytest.mark.timeout(300)
def test_a_broker_that_is_killed_under_load_comes_back_to_exact_twins(tmp_path: Path) -> None:
    broker = DevBroker(tmp_path / "broker", free_port())
    broker.start()
    settings = Settings(kafka_bootstrap=broker.bootstrap, data_dir=tmp_path / "data", batch_max_messages=20)
    apply_topics(settings)
    updater = UpdaterProcess(settings)
    updater.start()
    records = receipts(80)
    try:
        feeding = threading.Thread(target=lambda: publish(settings, records, speed=2_000_000.0))
        feeding.start()
        wait_for(settings, bool, "the first profile")
        time.sleep(2)
        broker.kill()
        time.sleep(2)
        broker.start()
        time.sleep(3)
        broker.stop()
        broker.start()
        feeding.join()
        wait_until_folded(settings)
        assert updater.running, updater.log.read_text()[-3_000:]
        updater.stop()
        assert lag(settings, "updater", TRANSACTIONS) == 0
        assert told(published_profiles(settings)) == Truth.of(records)
    finally:
        if updater.running:
            updater.kill()
        broker.stop()


def receipt(number: str, customer: str, instant: datetime) -> Transaction:
    line = TransactionLine(sku="milk", quantity=1.0, net="1.20")
    return Transaction(
        transaction_id=number, customer_id=customer, occurred_at=instant, currency="USD", lines=[line]
    )


def click(number: str, visitor: str, instant: datetime) -> Click:
    return Click(
        event_id=number,
        session_id=visitor,
        anonymous_id=visitor,
        action="view",
        occurred_at=instant,
        sku="milk",
    )
