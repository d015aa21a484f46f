"""The worker on the real broker: each query answered once, as of its moment, or told why not."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from streams.broker import DevBroker
from streams.kafka import Publisher, read_to_end, topic_name
from streams.live_products import LiveProducts
from streams.settings import Settings
from streams.sources.complete_journey import CompleteJourney
from streams.sources.record import Record
from streams.sources.schedule import publish
from streams.topic_admin import apply_topics
from streams.topics import DEAD_LETTERS, ERASURE, PROFILES, QUERIES, STATE, TRANSACTIONS
from streams.updater import process as updater
from streams.worker import process as worker
from streams.worker.models import segment_line
from tests.streams.answers import Receipt, receipts_of
from tests.streams.models import publish_model
from tests.streams.queries import (
    DAY,
    all_kinds,
    publish_queries,
    query,
    wait_for_predictions,
)
from tests.streams.running import eventually, running
from trainer.deciders.base import Decision, DecisionInput
from trainer.deciders.evidence import EvidenceDecider
from trainer.registry import Registry
from twin_store.columns import ReceiptDecoder
from twin_store.dna.twin import Twin, fold_receipts
from twin_store.evidence import Question
from twin_store.messages import Erasure
from twin_store.messages.codec import epoch_seconds, instant_of
from twin_store.records import Record as Arrived
from twin_store.segments import load_definitions, segment_of

pytestmark = pytest.mark.broker
CUSTOMERS = 30
RECENT_S = 60 * DAY


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Few partitions: each is restored when a worker starts."""
    return settings.model_copy(update={"partitions": 2})


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return list(CompleteJourney().records(customers=CUSTOMERS, topics=(TRANSACTIONS,)))


@pytest.fixture(scope="module")
def receipts(records: list[Record]) -> dict[str, list[Receipt]]:
    return receipts_of(records)


@pytest.fixture(scope="module")
def folded(broker: DevBroker, records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A deployment whose twins hold all the receipts. Without a model."""
    settings = Settings(
        kafka_bootstrap=broker.bootstrap,
        topic_prefix="worker-tests.",
        data_dir=tmp_path_factory.mktemp("worker"),
        partitions=2,
        worker_hold_ms=300,
    )
    apply_topics(settings)
    publish(settings, records)
    with running(lambda stop: updater.run(settings, stop)):
        eventually(lambda: len(profiles(settings)) == CUSTOMERS, "the profiles")
    return settings


def profiles(settings: Settings) -> dict[bytes | None, bytes | None]:
    return {message.key(): message.value() for message in read_to_end(settings, PROFILES)}


@contextmanager
def working(settings: Settings, *members: str) -> Iterator[None]:
    with running(*(lambda stop, m=member: worker.run(settings, stop, m) for member in members or ("0",))):
        yield


def twin_at(records: list[Record], customer: str, as_of: int) -> Twin:
    """The twin folded from the receipts up to a moment and nothing else."""
    known = [
        Arrived(r.key, r.value, r.at_seconds)
        for r in records
        if r.key == customer.encode() and r.at_seconds <= as_of
    ]
    columns = ReceiptDecoder("USD").decode(known)
    return fold_receipts(Twin(), columns.events, columns.lines)[0]


def test_answers_are_those_of_the_moment_asked_about(
    folded: Settings, records: list[Record], receipts: dict[str, list[Receipt]]
) -> None:
    """The replica holds the whole year; each answer equals one on a twin that knows only what was before."""
    manifest = publish_model(folded)
    queries = []
    for number, (customer, mine) in enumerate(sorted(receipts.items())):
        recent = [r for r in mine if r.second > mine[-1].second - RECENT_S]
        this = recent[number % len(recent)]
        skus = [*sorted(mine[0].skus)[:2], *sorted(this.skus)[:2], "unheard-of"]
        queries += all_kinds(customer, this.second, list(dict.fromkeys(skus)))
    with working(folded):
        publish_queries(folded, queries)
        found = wait_for_predictions(folded, [each.query_id for each in queries])
    with closing(LiveProducts(folded)) as live:
        decider = EvidenceDecider.load(Registry(folded.models), manifest.version, live.products)
    for each in queries:
        prediction = found[each.query_id]
        as_of = epoch_seconds(each.as_of)
        twin = twin_at(records, each.customer_id, as_of)
        question = Question(each.kind, as_of, each.subject, each.environment)
        (decision,) = decider.decide([DecisionInput(question, twin)])
        assert isinstance(decision, Decision)
        assert prediction.status == "answered", prediction.reason
        assert prediction.probabilities == pytest.approx(decision.probabilities)
        assert prediction.choice == decision.choice
        assert prediction.evidence == [pytest.approx(row) for row in decision.evidence]
        assert [(each.low, each.high) for each in prediction.intervals] == decision.intervals
        assert len(decision.intervals) == len(decision.probabilities)
        assert prediction.abstains == decision.abstains
        assert (prediction.decider, prediction.decider_version) == ("evidence", manifest.version)
        assert prediction.degraded_reason is None
        assert prediction.latency_ms > 0
        assert [offset.topic for offset in prediction.twin_position] == [topic_name(folded, STATE)]


def test_a_query_that_cannot_be_answered_is_told_why(
    folded: Settings, receipts: dict[str, list[Receipt]]
) -> None:
    publish_model(folded, without=("trip_choice",))
    customer, mine = sorted(receipts.items())[0]
    now = mine[-1].second
    late = query(customer, now, query_id="late", candidates=["a"], deadline_s=-5)
    no_candidates = query(customer, now, query_id="no-candidates")
    no_model = query(customer, now, "trip_choice", query_id="no-model", baskets=[["a"], ["b"]])
    long_ago = query(customer, now - 300 * DAY, query_id="long-ago", candidates=["a"])
    nobody = query("nobody", now, query_id="nobody", candidates=["a"])
    survey = query(customer, now, "survey", query_id="survey", statement="Fair prices.", scale=["no", "yes"])
    review = query(customer, now, "review", query_id="review", candidates=["a"])
    asked = [late, no_candidates, no_model, long_ago, nobody, survey, review]
    with working(folded):
        publish_queries(folded, asked)
        found = wait_for_predictions(folded, [each.query_id for each in asked])
    told = {query_id: (p.status, p.reason or p.degraded_reason or "") for query_id, p in found.items()}
    assert told["late"][0] == "expired"
    assert told["late"][1].startswith("the deadline had passed ")
    assert told["no-candidates"] == (
        "rejected",
        "subject.candidates is empty; name the products to ask about",
    )
    assert told["no-model"][0] == "rejected"
    assert "no model of trip_choice" in told["no-model"][1]
    for opinion in ("survey", "review"):
        reason = f"a {opinion} is not answered from numbers: ask a language model"
        assert told[opinion] == ("rejected", reason)
    assert told["long-ago"][0] == "rejected"
    assert "has moved on" in told["long-ago"][1]
    assert told["nobody"][0] == "answered"
    assert "nothing was known of the customer" in told["nobody"][1]
    assert all(not found[each].probabilities for each in told if told[each][0] != "answered")


def test_a_query_is_answered_once_however_often_it_comes(
    folded: Settings, receipts: dict[str, list[Receipt]]
) -> None:
    """Twice in a batch, again while it waits, again after it was answered, again after a restart."""
    publish_model(folded)
    customer, mine = sorted(receipts.items())[1]
    asked = [
        query(customer, mine[-1].second, query_id=f"once-{number}", candidates=["a"]) for number in range(50)
    ]
    # Its twin never gets there: it is held, and answered when the time is up.
    held = query(customer, mine[-1].second + DAY, query_id="once-held", candidates=["a"], of_profile=True)
    ids = [each.query_id for each in (*asked, held)]
    with working(folded):
        publish_queries(folded, [held, *asked, held, *asked])
        wait_for_predictions(folded, ids)
        publish_queries(folded, [*asked, held])
    after = query(customer, mine[-1].second, query_id="once-after", candidates=["a"])
    with working(folded):
        publish_queries(folded, [held, *asked, after])
        found = wait_for_predictions(folded, [*ids, "once-after"])
    assert "had not come to this moment" in (found["once-held"].degraded_reason or "")


def test_a_query_waits_for_the_twin_that_it_was_raised_from(
    settings: Settings, records: list[Record]
) -> None:
    settings = settings.model_copy(update={"worker_hold_ms": 60_000})
    apply_topics(settings)
    publish_model(settings)
    mine = [record for record in records if record.key == records[0].key][:20]
    customer = (mine[0].key or b"").decode()
    until = receipts_of(mine)[customer][-1].second
    ahead = query(customer, until, candidates=["a"], of_profile=True)
    at_once = query(customer, until, query_id="at-once", candidates=["a"])
    with working(settings):
        publish_queries(settings, [ahead, at_once])
        found = wait_for_predictions(settings, ["at-once"])
        assert found["at-once"].degraded_reason is not None, "it named no twin to wait for"
        with running(lambda stop: updater.run(settings, stop)):
            publish(settings, mine)
            found = wait_for_predictions(settings, [ahead.query_id])
    prediction = found[ahead.query_id]
    assert prediction.degraded_reason is None
    assert prediction.twin_hash == twin_at(mine, customer, until).content_hash()


def test_the_erased_are_not_answered_about(settings: Settings, records: list[Record]) -> None:
    apply_topics(settings)
    publish_model(settings)
    mine = [record for record in records if record.key == records[0].key]
    customer = (mine[0].key or b"").decode()
    last = mine[-1].at_seconds
    with running(lambda stop: updater.run(settings, stop)):
        publish(settings, mine)
        eventually(lambda: len(profiles(settings)) == 1, "the profile")
        with Publisher(settings) as publisher:
            erasure = Erasure(customer_id=customer, requested_at=instant_of(last + 1))
            publisher.publish(ERASURE, customer.encode(), erasure.to_wire())
        eventually(lambda: profiles(settings)[customer.encode()] is None, "the erasure")
    asked = query(customer, last, candidates=["a"])
    with working(settings):
        publish_queries(settings, [asked])
        found = wait_for_predictions(settings, [asked.query_id])
    assert (found[asked.query_id].status, found[asked.query_id].reason) == (
        "rejected",
        "the customer was erased after this moment",
    )


def test_versions_are_taken_up_as_they_are_released(settings: Settings) -> None:
    apply_topics(settings)
    with working(settings):
        publish_queries(settings, [query("c", DAY, query_id="before", candidates=["a"])])
        found = wait_for_predictions(settings, ["before"])
        assert found["before"].status == "rejected"
        assert "twins train evidence" in (found["before"].reason or "")
        for bias in (-2.0, 2.0):
            version = publish_model(settings, bias).version
            assert version == eventually_answered_by(settings, version)


def eventually_answered_by(settings: Settings, version: str) -> str:
    for attempt in range(100):
        query_id = f"{version}-{attempt}"
        publish_queries(settings, [query("c", DAY, query_id=query_id, candidates=["a"])])
        found = wait_for_predictions(settings, [query_id])[query_id]
        if found.decider_version == version:
            return found.decider_version
        time.sleep(0.2)
    raise AssertionError(f"{version} was not taken up")


def test_what_is_no_query_is_set_aside_and_the_rest_is_answered(settings: Settings) -> None:
    apply_topics(settings)
    publish_model(settings)
    good = query("c", DAY, candidates=["a"])
    with Publisher(settings) as publisher:
        for value in (
            b"{",
            b"\xff",
            None,
            b'{"version":"9.0"}',
            good.to_wire().replace(b'"purchase"', b'"poem"'),
        ):
            publisher.publish(QUERIES, b"c", value)
    publish_queries(settings, [good])
    with working(settings):
        wait_for_predictions(settings, [good.query_id])
        eventually(lambda: len(list(read_to_end(settings, DEAD_LETTERS))) == 5, "five dead letters")
    letters = [json.loads(message.value() or b"") for message in read_to_end(settings, DEAD_LETTERS)]
    assert {letter["origin_topic"] for letter in letters} == {topic_name(settings, QUERIES)}
    assert {letter["stage"] for letter in letters} == {"worker"}


def test_a_segments_own_model_answers_its_customers_and_nobody_else(
    folded: Settings, records: list[Record], receipts: dict[str, list[Receipt]]
) -> None:
    definitions = load_definitions()
    everybody = publish_model(folded).version
    asked = {customer: mine[-1].second for customer, mine in sorted(receipts.items())}
    segments = {c: segment_of(twin_at(records, c, at), at, definitions) for c, at in asked.items()}
    chosen = Counter(segments.values()).most_common(1)[0][0]
    own = publish_model(folded, bias=1.0, line=segment_line(chosen)).version
    try:
        queries = [query(c, at, query_id=f"own-{c}", candidates=["819063"]) for c, at in asked.items()]
        publish_queries(folded, queries)
        with working(folded):
            found = wait_for_predictions(folded, [each.query_id for each in queries])
    finally:
        Registry(folded.models).withdraw(segment_line(chosen))
    assert len(set(segments.values())) > 1
    for each in found.values():
        segment = segments[each.customer_id]
        assert (each.segment, each.decider_version) == (segment, own if segment == chosen else everybody)
