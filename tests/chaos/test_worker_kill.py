"""Workers and settlers are killed, come and go: each query is answered once, each answer settled once."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.sources.complete_journey import CompleteJourney
from streams.sources.schedule import publish
from streams.topic_admin import apply_topics
from streams.topics import OUTCOMES, PREDICTIONS, QUERIES, TRANSACTIONS
from streams.updater import process as updater
from tests.chaos.members import Member
from tests.chaos.updaters import wait_until_folded
from tests.streams.answers import receipts_of
from tests.streams.models import publish_model
from tests.streams.queries import DAY, prediction_ids, query
from tests.streams.running import eventually, running
from twin_store.messages import Query

pytestmark = [pytest.mark.broker, pytest.mark.timeout(400)]
CUSTOMERS = 40
QUERIES_PER_S = 80


@pytest.fixture
def folded(settings: Settings) -> Settings:
    """Twins of the whole year, a model, and many small transactions, so that a kill falls anywhere in one."""
    settings = settings.model_copy(
        update={
            "partitions": 2,
            "worker_batch_max": 15,
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


def questions(count: int) -> list[Query]:
    """Questions that the receipts of the last weeks settle; some wait for a twin that never gets there."""
    rng = random.Random(5)
    records = CompleteJourney().records(customers=CUSTOMERS, topics=(TRANSACTIONS,))
    moments = [
        (customer, receipt.second, sorted(receipt.skus)[:3])
        for customer, mine in sorted(receipts_of(records).items())
        for receipt in mine
    ]
    end = max(second for _, second, _ in moments)
    moments = [moment for moment in moments if end - 85 * DAY < moment[1] < end - 25 * DAY]
    asked = []
    for number in range(count):
        customer, second, skus = rng.choice(moments)
        ahead = number % 10 == 0
        as_of = end + DAY if ahead else second
        asked.append(query(customer, as_of, query_id=f"q{number}", candidates=skus, of_profile=ahead))
    return asked


def ask(settings: Settings, asked: list[Query]) -> None:
    """At a steady pace, every seventh twice, as a planner does that was killed."""
    with Publisher(settings) as publisher:
        for number, each in enumerate(asked):
            for _ in range(2 if number % 7 == 0 else 1):
                publisher.publish(QUERIES, each.customer_id.encode(), each.to_wire())
            if number % 10 == 0:
                publisher.flush()
                time.sleep(10 / QUERIES_PER_S)


def check(settings: Settings, asked: list[Query]) -> None:
    """Every query has one answer, and every answer about the past one outcome."""
    wanted = {each.query_id for each in asked}
    eventually(lambda: wanted <= prediction_ids(settings), "all predictions", timeout_s=90)
    past = {each.query_id for each in asked if not each.twin_position}
    eventually(lambda: past <= set(ids(settings, OUTCOMES)), "all outcomes", timeout_s=90)
    assert ids(settings, PREDICTIONS) == Counter(wanted)
    assert ids(settings, OUTCOMES) == Counter(past)
    statuses = {json.loads(m.value() or b"")["status"] for m in read_to_end(settings, PREDICTIONS)}
    assert statuses == {"answered"}


def ids(settings: Settings, topic: object) -> Counter[str]:
    return Counter(json.loads(m.value() or b"")["query_id"] for m in read_to_end(settings, topic))


def kill_again_and_again(settings: Settings, members: dict[str, Member], kills: int) -> None:
    rng = random.Random(kills)
    asked = questions(count=kills * 8 * QUERIES_PER_S)
    asking = threading.Thread(target=ask, args=(settings, asked))
    worker, settler = members["worker"], members["settler"]
    worker.start()
    settler.start()
    asking.start()
    for number in range(kills):
        # Past its start and the time the group takes to notice that its last life is over.
        time.sleep(7.0 + 3 * rng.random())
        worker.kill()
        worker.start()
        if number % 2:
            settler.kill()
            settler.start()
    asking.join()
    check(settings, asked)
    worker.stop()
    settler.stop()


def test_three_kills_lose_and_double_no_answer(folded: Settings, members: dict[str, Member]) -> None:
    kill_again_and_again(folded, members, 3)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_kills_lose_and_double_no_answer(folded: Settings, members: dict[str, Member]) -> None:
    kill_again_and_again(folded, members, 20)


def test_workers_come_and_go_under_load(folded: Settings, members: dict[str, Member]) -> None:
    """One, then two, one of them killed so that the other takes over, then two, then one."""
    asked = questions(count=30 * QUERIES_PER_S)
    asking = threading.Thread(target=ask, args=(folded, asked))
    worker, other = members["worker"], members["other worker"]
    worker.start()
    members["settler"].start()
    asking.start()
    time.sleep(8)
    other.start()
    time.sleep(8)
    worker.kill()
    time.sleep(8)
    worker.start()
    time.sleep(6)
    other.stop()
    asking.join()
    check(folded, asked)
    worker.stop()
    members["settler"].stop()
