"""Publishing through the real broker: everything arrives, in order, with CloudEvents attributes, at its pace."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator

import pytest

from streams.kafka import KafkaReadError, read_to_end
from streams.settings import Settings
from streams.sources.complete_journey import CompleteJourney
from streams.sources.record import Record, in_time_order
from streams.sources.schedule import Published, publish
from streams.topic_admin import apply_topics
from streams.topics import CATALOG, CUSTOMERS, TRANSACTIONS


def receipt(at: int) -> Record:
    return Record(TRANSACTIONS, b"c", b"%d" % at, at, 1, 100)


def test_streams_merge_by_time_and_then_by_place() -> None:
    people = [Record(CUSTOMERS, b"c", b"{}", at) for at in (1, 5)]
    receipts = [receipt(at) for at in (1, 3, 5)]
    merged = list(in_time_order(people, receipts))
    assert [(r.at_seconds, r.topic) for r in merged] == [
        (1, CUSTOMERS),
        (1, TRANSACTIONS),
        (3, TRANSACTIONS),
        (5, CUSTOMERS),
        (5, TRANSACTIONS),
    ]


@pytest.mark.broker
def test_what_is_published_arrives_in_order(settings: Settings) -> None:
    apply_topics(settings)
    records = list(CompleteJourney().records(customers=5, topics=(CUSTOMERS, TRANSACTIONS)))
    done = publish(settings, records, source="/test")
    assert done.messages[TRANSACTIONS.name] == sum(r.topic is TRANSACTIONS for r in records)
    assert done.lines == sum(record.lines for record in records)
    assert not done.stopped
    sent, arrived = defaultdict(list), defaultdict(list)
    for record in records:
        if record.topic is TRANSACTIONS:
            sent[record.key].append(record.value)
    for message in read_to_end(settings, TRANSACTIONS):
        arrived[message.key()].append(message.value())
        headers = dict(message.headers() or [])
        assert headers["ce_type"] == b"retail.transaction.v1"
        assert headers["ce_source"] == b"/test"
        assert headers["ce_time"].decode() in (message.value() or b"").decode()
    assert arrived == sent


@pytest.mark.broker
def test_a_record_waits_for_its_time_and_a_stop_ends_the_wait(settings: Settings) -> None:
    apply_topics(settings)
    stop = threading.Event()
    reached: list[int] = []

    def week_apart() -> Iterator[Record]:
        yield receipt(1_500_000_000)
        threading.Timer(0.2, stop.set).start()  # while it waits a week for the next one
        yield receipt(1_500_000_000 + 7 * 86_400)

    def note(done: Published) -> None:
        reached.append(done.messages.total())

    done = publish(settings, week_apart(), speed=1.0, on_progress=note, stop=stop)
    assert done.stopped
    assert done.messages.total() == 1
    assert reached[-1] == 1
    assert [message.value() for message in read_to_end(settings, TRANSACTIONS)] == [b"1500000000"]


@pytest.mark.broker
def test_time_runs_as_fast_as_asked(settings: Settings) -> None:
    apply_topics(settings)
    done = publish(settings, [receipt(10), receipt(20), receipt(30)], speed=100.0)
    assert done.messages.total() == 3
    assert done.wall_s >= 0.2  # no machine is too slow for a lower bound


@pytest.mark.broker
def test_a_topic_that_is_not_there_is_said_at_once(settings: Settings) -> None:
    with pytest.raises(KafkaReadError, match="twins topics apply"):
        publish(settings, [Record(CATALOG, b"s", b"{}", 1)])
