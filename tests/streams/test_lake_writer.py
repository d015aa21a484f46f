"""The lake writer on the real broker: what is published is in the lake, once, whoever is writing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams import kafka, lake_writer
from streams.errors import TwinsError
from streams.kafka import Publisher, topic_name
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import (
    CATALOG,
    CLICKSTREAM,
    CUSTOMERS,
    ERASURE,
    OUTCOMES,
    PREDICTIONS,
    TOPICS,
    TRANSACTIONS,
)
from twin_store.lake import Lake

pytestmark = pytest.mark.broker
WAIT_S = 60.0


def receipt(number: int, customer: str, day: int = 1) -> bytes:
    return msgspec.json.encode(
        {
            "transaction_id": f"t{number}",
            "customer_id": customer,
            "occurred_at": f"2024-05-{day:02d}T10:00:00Z",
            "currency": "USD",
            "lines": [{"sku": "milk", "quantity": 1, "net": "1.25"}],
        }
    )


def outcome(number: int, customer: str) -> bytes:
    return msgspec.json.encode(
        {
            "query_id": f"q{number}",
            "kind": "purchase",
            "customer_id": customer,
            "as_of": "2024-05-01T10:00:00Z",
            "settled_at": "2024-05-02T10:00:00Z",
            "settled_by": "horizon",
            "decider": "evidence",
            "decider_version": "1",
        }
    )


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Topics are there, and the writer flushes small and soon."""
    apply_topics(settings)
    return settings.model_copy(
        update={"lake_flush_events": 200, "lake_flush_s": 0.3, "session_timeout_ms": 6_000}
    )


@contextmanager
def writing(settings: Settings, **options: Any) -> Iterator[None]:
    """A writer in a thread; what it raises is raised on the way out."""
    stop, failures = threading.Event(), []

    def live() -> None:
        try:
            lake_writer.run(settings, stop, **options)
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(WAIT_S)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


def wait_for_end(settings: Settings) -> Lake:
    """The lake once it holds all that Kafka has, marks of transactions included."""
    client = kafka.consumer(settings, "watcher")
    sources = [
        TopicPartition(name, partition)
        for name in lake_writer.kept_topics(settings)
        for partition in kafka.partitions_of(client, name)
    ]
    ends = {(tp.topic, tp.partition): end for tp in sources if (end := end_offset(client, tp)) > 0}
    client.close()
    deadline = time.monotonic() + WAIT_S
    while True:
        lake = Lake(settings.lake)
        if lake.positions() == ends:
            return lake
        assert time.monotonic() < deadline, f"the lake is at {lake.positions()}, Kafka at {ends}"
        time.sleep(0.1)


def end_offset(client: Consumer, place: TopicPartition) -> int:
    """Where a partition ends, as soon as it has a leader."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return int(client.get_watermark_offsets(place, 10)[1])
        except KafkaException:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def transaction_ids(lake: Lake) -> list[int]:
    return sorted(int(name[1:]) for name in lake.scan_transactions().collect()["transaction_id"])


def test_it_keeps_the_topics_that_the_registry_says() -> None:
    settings = Settings(topic_prefix="x.")
    wanted = {topic_name(settings, topic) for topic in TOPICS if "lake" in topic.readers}
    assert set(lake_writer.kept_topics(settings)) == wanted


def test_every_kind_of_record_is_in_the_lake_and_poison_is_not(quick: Settings) -> None:
    with Publisher(quick) as publisher:
        for number in range(500):
            who = f"c{number % 30}"
            publisher.publish(TRANSACTIONS, who.encode(), receipt(number, who, 1 + number % 3))
        publisher.publish(TRANSACTIONS, b"c1", b"{broken")
        click = {"event_id": "e", "session_id": "s", "action": "view", "occurred_at": "2024-05-01T10:00:00Z"}
        publisher.publish(CLICKSTREAM, b"c1", msgspec.json.encode(click | {"customer_id": "c1"}))
        milk = {"sku": "milk", "updated_at": "2024-05-01T10:00:00Z", "name": "Milk"}
        publisher.publish(CATALOG, b"milk", msgspec.json.encode(milk))
        publisher.publish(CATALOG, b"gone", None)
        person = {"customer_id": "c1", "updated_at": "2024-05-01T10:00:00Z"}
        publisher.publish(CUSTOMERS, b"c1", msgspec.json.encode(person))
    with writing(quick):
        lake = wait_for_end(quick)
    assert transaction_ids(lake) == list(range(500))
    assert lake.scan_clicks().collect().height == 1
    assert lake.scan_catalog().collect()["sku"].to_list() == ["milk"]
    assert lake.scan_customers().collect()["customer_id"].to_list() == ["c1"]
    assert sum(reach.skipped for reach in lake.state.reaches.values()) == 1
    committed = kafka.consumer(quick, lake_writer.NAME)
    wanted = [TopicPartition(*source) for source in lake.positions()]
    assert {(tp.topic, tp.partition): tp.offset for tp in committed.committed(wanted)} == lake.positions()
    committed.close()


def test_the_end_of_a_transactional_topic_is_reached(quick: Settings) -> None:
    """Nobody is given the broker's marks of a transaction, and yet the lake has to come to the end."""
    writer = kafka.producer(quick, transactional_id="test")
    writer.init_transactions(10)
    for number in range(6):
        writer.begin_transaction()
        who = f"c{number}"
        writer.produce(topic_name(quick, OUTCOMES), outcome(number, who), key=who)
        writer.flush(10)
        if number % 3 == 2:
            writer.abort_transaction(10)
        else:
            writer.commit_transaction(10)
    with writing(quick):
        lake = wait_for_end(quick)
    assert sorted(lake.scan_outcomes().collect()["query_id"]) == ["q0", "q1", "q3", "q4"]
    assert lake.scan_predictions().collect().height == 0
    assert topic_name(quick, PREDICTIONS) not in {topic for topic, _ in lake.positions()}


def test_members_come_and_go_and_each_record_is_there_once(quick: Settings) -> None:
    total = 3_000
    with Publisher(quick) as publisher, writing(quick, member="a"):
        for number in range(total):
            who = f"c{number % 50}"
            publisher.publish(TRANSACTIONS, who.encode(), receipt(number, who, 1 + number % 5))
            if number == 1_000:
                second = writing(quick, member="b")
                second.__enter__()
            if number == 2_000:
                second.__exit__(None, None, None)
            if number % 100 == 0:
                publisher.flush()
                time.sleep(0.1)
        publisher.flush()
        lake = wait_for_end(quick)
    assert transaction_ids(lake) == list(range(total))


def test_an_erasure_in_the_stream_empties_the_files(quick: Settings) -> None:
    with writing(quick):
        with Publisher(quick) as publisher:
            for number in range(20):
                publisher.publish(TRANSACTIONS, b"ada", receipt(number, "ada", 1 + number % 2))
                publisher.publish(TRANSACTIONS, b"bob", receipt(100 + number, "bob"))
        wait_for_end(quick)
        request = {"customer_id": "ada", "requested_at": "2024-05-01T12:00:00Z"}
        with Publisher(quick) as publisher:
            publisher.publish(ERASURE, b"ada", msgspec.json.encode(request))
            publisher.flush()
            wait_for_end(quick)
            publisher.publish(TRANSACTIONS, b"ada", receipt(0, "ada", 1))
        lake = wait_for_end(quick)
    lake.refresh()
    assert not lake.state.pending_erasures
    ada = lake.scan_transactions(customers=["ada"]).collect()
    assert set(ada["occurred_at"].dt.day()) == {2}
    assert lake.scan_transactions(customers=["bob"]).collect().height == 20
    assert sum(reach.dropped for reach in lake.state.reaches.values()) == 1


def test_a_missing_topic_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(TwinsError, match="twins topics apply"):
        lake_writer.run(settings, threading.Event())


def test_a_lake_of_another_currency_is_refused(quick: Settings) -> None:
    with writing(quick):
        pass
    with pytest.raises(TwinsError, match="holds USD, the settings say EUR"):
        lake_writer.run(quick.model_copy(update={"currency": "EUR"}), threading.Event())


def test_a_topic_made_anew_under_an_old_lake_is_refused(quick: Settings) -> None:
    with Publisher(quick) as publisher:
        publisher.publish(TRANSACTIONS, b"ada", receipt(1, "ada"))
    with writing(quick):
        wait_for_end(quick)
    admin = kafka.admin(quick)
    name = topic_name(quick, TRANSACTIONS)
    admin.delete_topics([name])[name].result()
    deadline = time.monotonic() + WAIT_S
    while name in admin.list_topics(timeout=10).topics:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    apply_topics(quick, topics=[TRANSACTIONS])
    with Publisher(quick) as publisher:
        publisher.publish(TRANSACTIONS, b"ada", receipt(2, "ada"))
    with pytest.raises(TwinsError, match="made anew"):
        lake_writer.run(quick, GivesUp(WAIT_S))


class GivesUp(threading.Event):
    """A stop that comes by itself, so that a test which waits for a failure ends."""

    def __init__(self, after_s: float) -> None:
        super().__init__()
        self._until = time.monotonic() + after_s

    def is_set(self) -> bool:
        return time.monotonic() > self._until
