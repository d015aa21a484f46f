"""Workers and settlers are killed, come and go: each query is answered once, each answer settled once."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.broker import DevBroker, free_port
from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.sources.complete_journey import CompleteJourney
from streams.sources.schedule import publish
from streams.topic_admin import apply_topics
from streams.topics import OUTCOMES, PREDICTIONS, QUERIES, TRANSACTIONS, Topic
from streams.updater import process as updater
from tests.chaos.members import Member
from tests.chaos.progress import progress, until_shared_by
from tests.chaos.updaters import wait_until_folded
from tests.streams.answers import receipts_of
from tests.streams.models import publish_model
from tests.streams.queries import DAY, query
from tests.streams.running import eventually, running
from twin_store.messages import Query

pytestmark = [pytest.mark.broker, pytest.mark.timeout(400)]
CUSTOMERS = 40
QUERIES_PER_LIFE = 400
QUERIES_PER_S = 80


@pytest.fixture
def folded(settings: Settings) -> Settings:
    """Twins of the whole year, a model, and many small transactions, so that a kill falls anywhere in one."""
    return with_twins(settings)


def with_twins(settings: Settings) -> Settings:
    """The settings of a deployment that has read its receipts and can answer."""
    settings = settings.model_copy(
        update={
            "partitions": 2,
            "worker_batch_max": 10,
            "worker_hold_ms": 700,
            "session_timeout_ms": 6_000,
            "transaction_timeout_ms": 8_000,
        }
    )
    apply_topics(settings)
    publish(settings, CompleteJourney().records(customers=CUSTOMERS, topics=(TRANSACTIONS,)))
    with running(lambda stop: updater.run(settings, stop)):
        wait_until_folded(settings)
    publish_model(settings)
    return settings


@pytest.fixture
def members(folded: Settings) -> Iterator[dict[str, Member]]:
    found = {
        "worker": Member(folded, "worker"),
        "other worker": Member(folded, "worker", "1"),
        "settler": Member(folded, "settler"),
    }
    yield found
    for member in found.values():
        member.kill()


def questions() -> Iterator[Query]:
    """Questions that the receipts of the last weeks settle; some wait for a twin that never gets there.

    A receipt that only gives money back names no product, so nothing is asked about it. Nor does any question
    expire: how long the processes need to come back on this machine is not what is tested.
    """
    rng = random.Random(5)
    records = CompleteJourney().records(customers=CUSTOMERS, topics=(TRANSACTIONS,))
    moments = [
        (customer, receipt.second, sorted(receipt.skus)[:3])
        for customer, mine in sorted(receipts_of(records).items())
        for receipt in mine
        if receipt.skus
    ]
    end = max(second for _, second, _ in moments)
    moments = [moment for moment in moments if end - 85 * DAY < moment[1] < end - 25 * DAY]
    for number in itertools.count():
        customer, second, skus = rng.choice(moments)
        ahead = number % 10 == 0
        as_of = end + DAY if ahead else second
        yield query(
            customer, as_of, query_id=f"q{number}", deadline_s=3_600, candidates=skus, of_profile=ahead
        )


def ask(publisher: Publisher, asked: Iterable[Query]) -> None:
    """Every seventh twice, as a planner does that was killed."""
    for number, each in enumerate(asked):
        for _ in range(2 if number % 7 == 0 else 1):
            publisher.publish(QUERIES, each.customer_id.encode(), each.to_wire())
    publisher.flush()


@contextmanager
def asking(settings: Settings, asked: list[Query]) -> Iterator[None]:
    """Ask at a steady pace meanwhile; all that was asked is added to `asked`."""
    source = questions()

    def at_a_pace(stop: threading.Event) -> None:
        with Publisher(settings) as publisher:
            while not stop.wait(10 / QUERIES_PER_S):
                some = list(itertools.islice(source, 10))
                ask(publisher, some)
                asked.extend(some)

    with running(at_a_pace):
        yield


def check(settings: Settings, asked: list[Query]) -> None:
    """Every query has one answer, and every answer about the past one outcome."""
    with progress(settings, "worker", QUERIES) as answers:
        answers.until_committed(answers.end)
    statuses = Counter(json.loads(m.value() or b"")["status"] for m in read_to_end(settings, PREDICTIONS))
    assert set(statuses) == {"answered"}
    assert ids(settings, PREDICTIONS) == Counter(each.query_id for each in asked)
    past = Counter(each.query_id for each in asked if not each.twin_position)
    eventually(lambda: set(past) <= set(ids(settings, OUTCOMES)), "all outcomes", timeout_s=60)
    assert ids(settings, OUTCOMES) == past


def ids(settings: Settings, topic: Topic) -> Counter[str]:
    return Counter(json.loads(m.value() or b"")["query_id"] for m in read_to_end(settings, topic))


def kill_again_and_again(settings: Settings, members: dict[str, Member], kills: int) -> None:
    """Each life gets a slice of questions and is ended somewhere in it; every other time the settler too."""
    rng, source, asked = random.Random(kills), questions(), list[Query]()
    worker, settler = members["worker"], members["settler"]
    worker.start()
    settler.start()
    with (
        Publisher(settings) as publisher,
        progress(settings, "worker", QUERIES) as queries,
        progress(settings, "settler", PREDICTIONS) as answers,
        progress(settings, "settler", OUTCOMES) as outcomes,
    ):
        for number in range(kills):
            some = list(itertools.islice(source, QUERIES_PER_LIFE))
            asked += some
            begin = answers.end
            ask(publisher, some)
            if number % 2:
                outcomes.until_written(outcomes.end + rng.randrange(1, 20))
                settler.kill()
            answers.until_written(max(begin + rng.randrange(1, QUERIES_PER_LIFE // 4), answers.end + 1))
            worker.kill()
            assert queries.committed < queries.end, "the worker had nothing left to do"
            worker.start()
            if number % 2:
                assert answers.committed < answers.end - settings.partitions, "the settler had nothing to do"
                settler.start()
    check(settings, asked)
    worker.stop()
    settler.stop()


def test_three_kills_lose_and_double_no_answer(folded: Settings, members: dict[str, Member]) -> None:
    kill_again_and_again(folded, members, 3)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_kills_lose_and_double_no_answer(folded: Settings, members: dict[str, Member]) -> None:
    kill_again_and_again(folded, members, 20)


def come_and_go(settings: Settings, members: dict[str, Member]) -> None:
    """One worker, then two, one of them killed so that the other takes over, then two, then one; and the check."""
    asked: list[Query] = []
    worker, other, settler = members["worker"], members["other worker"], members["settler"]
    settler.start()
    worker.start()
    with asking(settings, asked):
        for change, owners in ((other.start, 2), (worker.kill, 1), (worker.start, 2), (other.stop, 1)):
            until_answered(settings, QUERIES_PER_S)
            change()
            until_shared_by(settings, "worker", owners)
    check(settings, asked)
    worker.stop()
    settler.stop()


def test_workers_come_and_go_under_load(folded: Settings, members: dict[str, Member]) -> None:
    come_and_go(folded, members)


@pytest.mark.long
def test_the_broker_goes_away_under_them(offline_settings: Settings, tmp_path: Path) -> None:
    """Killed, then stopped, while questions come: both processes come back by themselves, and nothing is missing."""
    broker = DevBroker(tmp_path / "broker", free_port())
    broker.start()
    settings = with_twins(offline_settings.model_copy(update={"kafka_bootstrap": broker.bootstrap}))
    # A transaction may live as long as it does by default: it outlasts the broker's absence.
    settings = settings.model_copy(update={"transaction_timeout_ms": 60_000})
    worker, settler = Member(settings, "worker"), Member(settings, "settler")
    asked: list[Query] = []
    try:
        worker.start()
        settler.start()
        with asking(settings, asked):
            for end_broker in (broker.kill, broker.stop):
                until_answered(settings, QUERIES_PER_S)
                end_broker()
                broker.start()
            until_answered(settings, QUERIES_PER_S)
        assert worker.running, worker.log.read_text()[-3_000:]
        assert settler.running, settler.log.read_text()[-3_000:]
        check(settings, asked)
        worker.stop()
        settler.stop()
    finally:
        worker.kill()
        settler.kill()
        broker.stop()


def until_answered(settings: Settings, more: int) -> None:
    """Wait until so many more records are in the predictions."""
    with progress(settings, "worker", PREDICTIONS) as answers:
        answers.until_written(answers.end + more)
