"""The settler on the real broker: every answer settled once, as the receipts alone say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

import pytest

from streams.kafka import Publisher, partition_for, read_to_end
from streams.settings import Settings
from streams.settler import process as settler
from streams.sources.complete_journey import CompleteJourney
from streams.sources.record import Record
from streams.sources.schedule import publish
from streams.topic_admin import apply_topics
from streams.topics import DEAD_LETTERS, ERASURE, OUTCOMES, PREDICTIONS, TRANSACTIONS
from streams.updater import process as updater
from tests.chaos.progress import until_shared_by
from tests.chaos.updaters import lag
from tests.streams.answers import DAY, Receipt, answered, receipts_of, truths_of
from tests.streams.running import eventually, running
from twin_store.messages import Erasure, Prediction, Subject
from twin_store.messages.codec import instant_of

pytestmark = pytest.mark.broker
CUSTOMERS = 30
GRACE = DAY


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Few partitions: each is restored when a settler starts."""
    return settings.model_copy(update={"partitions": 2})


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return list(CompleteJourney().records(customers=CUSTOMERS, topics=(TRANSACTIONS,)))


def answers_about(receipts: dict[str, list[Receipt]]) -> list[Prediction]:
    """An answer after every fourth receipt: two products of the next trip, and two of somebody else's."""
    some = sorted({sku for mine in receipts.values() for sku in mine[0].skus})
    made = []
    for customer, mine in sorted(receipts.items()):
        for this, following in zip(mine[::4], mine[1::4], strict=False):
            if following.second > this.second:
                candidates = [*sorted(following.skus)[:2], *some[len(made) % 50 :][:2]]
                made.append(answered(customer, this.second, candidates))
    return made


def reached(receipts: dict[str, list[Receipt]], partition: int, partitions: int) -> int:
    """The time that three customers of the partition have come to."""
    last = [
        mine[-1].second for c, mine in receipts.items() if partition_for(c.encode(), partitions) == partition
    ]
    return sorted(last)[-3:][0]


def expected(
    made: Iterable[Prediction], receipts: dict[str, list[Receipt]], partitions: int
) -> dict[str, tuple[int, ...] | None]:
    """The truths of every answer that can be settled by the end of the stream; None for void."""
    truths = {}
    for prediction in made:
        mine = receipts[prediction.customer_id]
        as_of = int(prediction.as_of.timestamp())
        until = int(prediction.settlement.until.timestamp())
        partition = partition_for(prediction.customer_id.encode(), partitions)
        following = [r.second for r in mine if as_of < r.second <= until]
        if reached(receipts, partition, partitions) >= (following[0] if following else until) + GRACE:
            truths[prediction.query_id] = truths_of(prediction, mine)
    return truths


def publish_answers(settings: Settings, made: Iterable[Prediction]) -> None:
    with Publisher(settings) as publisher:
        for prediction in made:
            publisher.publish(PREDICTIONS, prediction.customer_id.encode(), prediction.to_wire())


def outcomes(settings: Settings) -> list[dict]:
    return [json.loads(message.value() or b"") for message in read_to_end(settings, OUTCOMES)]


def wait_for_outcomes(settings: Settings, count: int) -> None:
    eventually(lambda: len(outcomes(settings)) >= count, f"{count} outcomes")


def in_stages(records: list[Record], days: int) -> list[list[Record]]:
    """The records cut by event time: a twin keeps its receipts for some months, and answers are not that late."""
    stages: dict[int, list[Record]] = {}
    for record in records:
        stages.setdefault((record.at_seconds - records[0].at_seconds) // (days * DAY), []).append(record)
    return [stages[number] for number in sorted(stages)]


def test_every_answer_is_settled_once_as_the_receipts_say(settings: Settings, records: list[Record]) -> None:
    """Half the answers come before the receipts that settle them, half after; the settler restarts now and then."""
    apply_topics(settings)
    made = answers_about(receipts_of(records))
    come: list[Record] = []
    asked: list[Prediction] = []
    for stage in in_stages(records, days=80):
        come += stage
        receipts = receipts_of(come)
        begin, end = stage[0].at_seconds, stage[-1].at_seconds
        now = [p for p in made if begin <= p.as_of.timestamp() < end]
        asked += now
        truths = expected(asked, receipts, settings.partitions)
        publish_answers(settings, now[::2])
        with running(lambda stop: settler.run(settings, stop), lambda stop: updater.run(settings, stop)):
            publish(settings, stage)
            publish_answers(settings, now[1::2])
            wait_for_outcomes(settings, len(truths))
    found = outcomes(settings)
    assert len(truths) > 400
    assert Counter(outcome["query_id"] for outcome in found) == Counter(list(truths))
    assert {o["query_id"]: tuple(o["truths"]) if not o["void"] else None for o in found} == truths
    for outcome in found:
        assert outcome["settled_by"] == ("horizon" if outcome["void"] else "receipt")
        if not outcome["void"]:
            errors = [(0.25 - truth) ** 2 for truth in outcome["truths"]]
            assert outcome["brier"] == pytest.approx(sum(errors) / len(errors))


def test_the_erased_have_no_outcomes_and_bad_answers_are_set_aside(
    settings: Settings, records: list[Record]
) -> None:
    apply_topics(settings)
    receipts = receipts_of(records)
    erased, kept = sorted(receipts)[:2]
    made = [p for p in answers_about(receipts) if p.customer_id in (erased, kept)]
    truths = expected([p for p in made if p.customer_id == kept], receipts, settings.partitions)
    last = max(mine[-1].second for mine in receipts.values())
    with Publisher(settings) as publisher:
        erasure = Erasure(customer_id=erased, requested_at=instant_of(last))
        publisher.publish(ERASURE, erased.encode(), erasure.to_wire())
        publisher.publish(PREDICTIONS, b"x", b"{")
        broken = made[0].model_copy(update={"query_id": "one-too-few", "probabilities": [0.5]})
        publisher.publish(PREDICTIONS, broken.customer_id.encode(), broken.to_wire())
        survey = Subject(statement="Prices are fair.", scale=["no", "rather not", "rather", "yes"])
        asked = {"query_id": "no-receipt-tells", "kind": "survey", "subject": survey}
        opinion = made[0].model_copy(update=asked)
        publisher.publish(PREDICTIONS, opinion.customer_id.encode(), opinion.to_wire())
    # Whoever is forgotten while her receipts come in may have been settled a moment before.
    with running(lambda stop: updater.run(settings, stop)):
        eventually(lambda: lag(settings, updater.NAME, ERASURE) == 0, "the erasure to be folded")
    publish_answers(settings, made)
    publish(settings, records)
    with running(lambda stop: settler.run(settings, stop), lambda stop: updater.run(settings, stop)):
        wait_for_outcomes(settings, len(truths))
    assert {outcome["query_id"] for outcome in outcomes(settings)} == set(truths)
    letters = [json.loads(message.value() or b"") for message in read_to_end(settings, DEAD_LETTERS)]
    assert sorted(letter.get("place", "") for letter in letters) == ["", "probabilities"]


def test_a_restart_before_the_first_answer_forgets_no_receipt(
    settings: Settings, records: list[Record]
) -> None:
    """All receipts are in the settler's folder before an answer comes, and none comes after."""
    apply_topics(settings)
    receipts = receipts_of(records)
    made = [p for p in answers_about(receipts) if p.as_of.timestamp() > records[-1].at_seconds - 60 * DAY]
    truths = expected(made, receipts, settings.partitions)
    publish(settings, records)
    with running(lambda stop: updater.run(settings, stop)):
        eventually(lambda: lag(settings, updater.NAME, TRANSACTIONS) == 0, "the receipts to be folded")
    with running(lambda stop: settler.run(settings, stop)):
        until_shared_by(settings, settler.NAME, 1)
    publish_answers(settings, made)
    with running(lambda stop: settler.run(settings, stop)):
        wait_for_outcomes(settings, len(truths))
    assert {outcome["query_id"] for outcome in outcomes(settings)} == set(truths) != set()
