"""The worker with a language model on the real broker: answers in flight, and what becomes of those it does not give.

The model is scripted: what is tested is the worker's part. `tests/trainer/vllm` has the real engine.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from streams.adapters.routing import Routing, Trial
from streams.broker import DevBroker
from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.sources.complete_journey import CompleteJourney
from streams.sources.record import Record
from streams.sources.schedule import publish
from streams.telemetry import Telemetry
from streams.topic_admin import apply_topics
from streams.topics import CATALOG, PROFILES, QUERIES, SHADOWS, TRANSACTIONS
from streams.updater import process as updater
from streams.worker import process as worker
from tests.streams.answers import Receipt, receipts_of
from tests.streams.models import publish_model
from tests.streams.queries import DAY, all_kinds, prediction_ids, publish_queries, query, wait_for_predictions
from tests.streams.running import eventually, running
from tests.streams.scripted_model import TEXT, ScriptedHost, ScriptedModel
from trainer.calibration import Curve
from trainer.deciders.language.model import ModelUnavailable
from trainer.deciders.language.served import Router, ServedAdapter
from twin_store.messages import Prediction, Query
from twin_store.messages.codec import decode
from twin_store.prompts import prompt_hash
from twin_store.prompts.answers import GENERATED_MARK
from twin_store.segments import load_definitions

pytestmark = pytest.mark.broker
CUSTOMERS = 20
ADAPTER = "vllm/all/v1"


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return list(CompleteJourney().records(customers=CUSTOMERS, topics=(TRANSACTIONS, CATALOG)))


@pytest.fixture(scope="module")
def receipts(records: list[Record]) -> dict[str, list[Receipt]]:
    return receipts_of(records)


@pytest.fixture(scope="module")
def folded(broker: DevBroker, records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A deployment whose twins hold all the receipts, with an evidence model."""
    settings = Settings(
        kafka_bootstrap=broker.bootstrap,
        topic_prefix="language-tests.",
        data_dir=tmp_path_factory.mktemp("language"),
        partitions=2,
        worker_hold_ms=300,
        metrics_port=0,
    )
    apply_topics(settings)
    publish(settings, records)
    publish_model(settings)
    with running(lambda stop: updater.run(settings, stop)):
        eventually(lambda: len({m.key() for m in read_to_end(settings, PROFILES)}) == CUSTOMERS, "profiles")
    return settings


@pytest.fixture
def host() -> Iterator[ScriptedHost]:
    found = ScriptedHost(ScriptedModel((0.0, 0.05)))
    yield found
    found.close()


@contextmanager
def working(settings: Settings, host: ScriptedHost, router: Router | None = None) -> Iterator[Telemetry]:
    """A worker; its counts are in what this gives."""
    telemetry = Telemetry("worker", settings)

    def run(stop: threading.Event) -> None:
        worker.run(settings, stop, "0", telemetry, host, router)

    with running(run):
        yield telemetry


def ids(queries: Iterable[Query]) -> set[str]:
    return {each.query_id for each in queries}


def asked_of(receipts: dict[str, list[Receipt]], tag: str, customers: int = 6) -> list[Query]:
    """Queries of all seven kinds about each of some customers."""
    found: list[Query] = []
    for customer, mine in sorted(receipts.items())[:customers]:
        skus = sorted(mine[-2].skus | mine[-1].skus)[:5]
        second = mine[-1].second
        found += all_kinds(customer, second, [*skus, "unheard-of"])
        found.append(
            query(customer, second, "survey", statement="Fair prices.", scale=["no", "so so", "yes"])
        )
        found.append(query(customer, second, "review", candidates=skus[:1]))
    return [each.model_copy(update={"query_id": f"{tag}-{each.query_id}"}) for each in found]


def test_every_kind_is_answered_by_the_model(
    folded: Settings, receipts: dict[str, list[Receipt]], host: ScriptedHost
) -> None:
    asked = asked_of(receipts, "kinds")
    with working(folded, host) as telemetry:
        publish_queries(folded, asked)
        found = wait_for_predictions(folded, [each.query_id for each in asked])
    for each in asked:
        prediction = found[each.query_id]
        assert (prediction.status, prediction.reason) == ("answered", None)
        assert (prediction.decider, prediction.decider_version) == ("vllm", "scripted-1")
        assert prediction.degraded_reason is None
        assert prediction.segment is not None
        assert len(prediction.prompt_hash or "") == 32
        assert prediction.twin_hash is not None
        if each.kind == "review":
            assert prediction.text == f"{GENERATED_MARK} {TEXT}"
            assert (prediction.probabilities, prediction.choice) == ([], None)
        else:
            assert prediction.text is None
            assert prediction.raw_probabilities == prediction.probabilities
            assert all(0.5 <= mass <= 1 for mass in prediction.joint_mass)
        assert (prediction.likelihood is not None) == (each.kind == "voucher_redemption")
        if each.kind in ("basket_completion", "trip_choice", "survey"):
            assert sum(prediction.probabilities) == pytest.approx(1)
        if each.kind == "survey":
            assert prediction.choice in each.subject.scale
    assert telemetry.snapshot()["twins_worker_degraded_share"] == 0
    masses = {p.kind: len(p.joint_mass) for p in found.values()}
    assert (masses["trip_choice"], masses["voucher_redemption"], masses["survey"]) == (2, 1, 1)


def test_a_version_on_trial_is_heard_and_answers_nobody(
    folded: Settings, receipts: dict[str, list[Receipt]], host: ScriptedHost
) -> None:
    """Half of the queries are put to it too; nothing of it is among the predictions."""
    assert isinstance(host.model, ScriptedModel)
    shadow = "vllm/all/v2"
    host.model.adapters = {ADAPTER, shadow}
    routing = Routing()
    for segment in load_definitions().names:
        champion, challenger = ServedAdapter(segment, ADAPTER, "v1"), ServedAdapter(segment, shadow, "v2")
        routing.post(champion, Trial(challenger, "shadow", 0.5, "salt"))
    asked = asked_of(receipts, "shadowed")

    def shadows() -> list[Prediction]:
        return [decode(Prediction, message.value()) for message in read_to_end(folded, SHADOWS)]

    with working(folded, host, routing) as telemetry:
        publish_queries(folded, asked)
        found = wait_for_predictions(folded, [each.query_id for each in asked])
        drawn = {each for each, said in found.items() if routing.is_shadowed(said.segment or "", each)}
        eventually(lambda: len(shadows()) >= len(drawn), "what the version on trial says")
    assert {said.adapter for said in found.values()} == {f"{ADAPTER}@v1"}
    assert 0 < len(drawn) < len(asked)
    heard = {said.query_id: said for said in shadows()}
    assert set(heard) == drawn
    assert len(shadows()) == len(drawn)
    for query_id, said in heard.items():
        assert (said.adapter, said.decider_version, said.status) == (f"{shadow}@v2", "v2", "answered")
        assert said.segment == found[query_id].segment
        assert len(said.probabilities) == len(found[query_id].probabilities)
    assert {priority for _, adapter, priority in host.model.asked if adapter == shadow} == {0}
    assert telemetry.snapshot()["twins_worker_degraded_share"] == 0


def test_an_adapter_answers_with_its_calibration(
    folded: Settings, receipts: dict[str, list[Receipt]], host: ScriptedHost
) -> None:
    assert isinstance(host.model, ScriptedModel)
    host.model.adapters.add(ADAPTER)
    asked = [each for each in asked_of(receipts, "adapter", 3) if each.kind == "purchase"]
    curve = Curve(1.0, -2.0)

    def router(segment: str, customer_id: str) -> ServedAdapter | None:
        return ServedAdapter(segment, ADAPTER, "v1", {"purchase": curve}) if customer_id != "base" else None

    stranger = query("base", 300 * DAY, query_id="adapter-base", candidates=["a"])
    with working(folded, host, router) as telemetry:
        publish_queries(folded, asked)
        with Publisher(folded) as publisher:
            # A segment that does not exist, and is not the query's to say anyway.
            misled = json.loads(stranger.to_wire()) | {"segment": "nobody-is-in-it"}
            publisher.publish(QUERIES, b"base", json.dumps(misled).encode())
        found = wait_for_predictions(folded, [*(each.query_id for each in asked), "adapter-base"])
    for each in asked:
        prediction = found[each.query_id]
        assert (prediction.adapter, prediction.decider_version) == (f"{ADAPTER}@v1", "v1")
        low = [p < raw for p, raw in zip(prediction.probabilities, prediction.raw_probabilities, strict=True)]
        assert all(low)
    # A segment without an adapter and a customer without a twin are answered by the base, which says what it lacked.
    assert (found["adapter-base"].adapter, found["adapter-base"].segment) == (None, "newcomers")
    assert found["adapter-base"].decider == "vllm"
    assert "nothing was known of the customer" in (found["adapter-base"].degraded_reason or "")
    counted = {name for name in telemetry.snapshot() if "twins_worker_asked_total" in name}
    assert any(f'adapter="{ADAPTER}"' in name for name in counted)
    assert any('adapter="base"' in name for name in counted)


def test_while_the_model_is_away_evidence_answers_and_says_so(
    folded: Settings, receipts: dict[str, list[Receipt]], host: ScriptedHost
) -> None:
    model, host.model = host.model, None
    before, after = asked_of(receipts, "away", 2), asked_of(receipts, "back", 2)
    folded = folded.model_copy(update={"worker_words_ms": 300})
    with working(folded, host) as telemetry:
        publish_queries(folded, before)
        found = wait_for_predictions(folded, [each.query_id for each in before])
        assert telemetry.snapshot()["twins_worker_degraded_share"] == 1
        host.model = model
        publish_queries(folded, after)
        later = wait_for_predictions(folded, [each.query_id for each in after])
    for each in before:
        prediction = found[each.query_id]
        reason = "the language model is away: the engine is starting"
        if each.kind in ("survey", "review"):
            assert prediction.status == "rejected"
            assert (prediction.reason or "").startswith(f"{reason}; a {each.kind} is not answered")
        else:
            assert (prediction.status, prediction.decider) == ("answered", "evidence")
            assert prediction.degraded_reason == reason
            assert prediction.prompt_hash is None
    assert {p.decider for p in later.values()} == {"vllm"}


def test_what_only_words_can_answer_waits_for_the_model_and_holds_up_nobody(
    folded: Settings, receipts: dict[str, list[Receipt]], host: ScriptedHost
) -> None:
    """But not beyond its own deadline, and not more than the model could take at once."""
    model, host.model = host.model, None
    asked = asked_of(receipts, "words", 4)
    words = [each for each in asked if each.kind in ("survey", "review")]
    numbers = [each for each in asked if each not in words]
    customer, mine = sorted(receipts.items())[0]
    short = query(customer, mine[-1].second, "review", "short", deadline_s=3, candidates=["milk"])
    folded = folded.model_copy(update={"worker_in_flight_max": len(words) - 1})
    with working(folded, host):
        publish_queries(folded, [*words[:2], short, *numbers])
        found = wait_for_predictions(folded, ["short", *(each.query_id for each in numbers)])
        publish_queries(folded, words[2:])
        eventually(lambda: len(prediction_ids(folded) & ids(words)) == 1, "the one too many")
        host.model = model
        found |= wait_for_predictions(folded, ids(words))
    assert {found[each.query_id].decider for each in numbers} == {"evidence"}
    assert found["short"].status in ("rejected", "expired")
    assert Counter(found[each.query_id].status for each in words) == {
        "answered": len(words) - 1,
        "rejected": 1,
    }


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ModelUnavailable("it has died"), "the language model is away: it has died"),
        (ZeroDivisionError("a defect"), "the language decider failed: ZeroDivisionError: a defect"),
    ],
)
def test_what_the_model_fails_at_evidence_answers(
    folded: Settings,
    receipts: dict[str, list[Receipt]],
    host: ScriptedHost,
    failure: Exception,
    reason: str,
) -> None:
    assert isinstance(host.model, ScriptedModel)
    host.model.failure = failure
    asked = [each for each in asked_of(receipts, type(failure).__name__, 2) if each.kind == "purchase"]
    with working(folded, host):
        publish_queries(folded, asked)
        found = wait_for_predictions(folded, [each.query_id for each in asked])
    assert {(p.decider, p.degraded_reason) for p in found.values()} == {("evidence", reason)}


def test_each_way_of_not_answering_has_its_name(
    folded: Settings, receipts: dict[str, list[Receipt]], host: ScriptedHost
) -> None:
    """An adapter that is gone, a question that is too long, an answer without form, a deadline that is over."""
    assert isinstance(host.model, ScriptedModel)
    host.model.tokens_max, host.model.malformed = 600, True
    customer, mine = sorted(receipts.items())[0]
    now, skus = mine[-1].second, sorted(mine[-1].skus)
    gone = query(customer, now, query_id="gone", candidates=skus[:1])
    names = [[f"{side}{number:070}" for number in range(30)] for side in "ab"]
    long = query(customer, now, "trip_choice", query_id="long", baskets=names)
    formless = query(
        customer, now, "voucher_redemption", query_id="formless", voucher_skus=skus, campaign_id="k"
    )
    review = query(customer, now, "review", query_id="bad-review", candidates=skus[:1])
    over = query(customer, now, query_id="over", candidates=skus[:1], deadline_s=-1)
    one = query(customer, now, "basket_completion", query_id="one-option", candidates=skus[:1])
    asked = [gone, long, formless, review, over, one]

    def router(segment: str, customer_id: str) -> ServedAdapter | None:
        return ServedAdapter(segment, "vllm/gone/v1", "v1") if gone_is_next[0] else None

    gone_is_next = [True]
    with working(folded, host, router) as telemetry:
        publish_queries(folded, [gone])
        found = wait_for_predictions(folded, ["gone"])
        gone_is_next[0] = False
        publish_queries(folded, asked[1:])
        found |= wait_for_predictions(folded, [each.query_id for each in asked[1:]])
        counts = telemetry.snapshot()
    told = {query_id: (p.status, p.decider, p.reason or p.degraded_reason) for query_id, p in found.items()}
    assert told["gone"] == (
        "answered", "evidence", "the adapter is missing: there is no adapter vllm/gone/v1",
    )  # fmt: skip
    assert told["long"][:2] == ("answered", "evidence")
    assert "does not fit the language model" in (told["long"][2] or "")
    assert told["formless"] == ("answered", "vllm", None)
    assert found["formless"].likelihood is None
    assert told["bad-review"][0] == "rejected"
    assert "kept to no form" in (told["bad-review"][2] or "")
    assert told["over"][0] == "expired"
    assert told["one-option"][:2] == ("answered", "evidence")
    assert "needs two products or more" in (told["one-option"][2] or "")
    for reason in ("adapter", "unfit", "malformed"):
        assert counts[f'twins_worker_degraded_by_total{{reason="{reason}"}}'] == 1
    assert counts["twins_worker_malformed_total"] == 2


def test_who_is_late_is_answered_from_the_numbers_in_time(
    folded: Settings, receipts: dict[str, list[Receipt]]
) -> None:
    """By the soft deadline of the worker, or just before the query's own."""
    model = ScriptedModel((3_600, 3_600))
    host = ScriptedHost(model)
    customer, mine = sorted(receipts.items())[1]
    slow = folded.model_copy(update={"worker_soft_deadline_ms": 2_000})
    short = query(customer, mine[-1].second, query_id="short", candidates=["a", "b"], deadline_s=3)
    soft = query(customer, mine[-1].second, query_id="soft", candidates=["a", "b"])
    with working(slow.model_copy(update={"worker_soft_deadline_ms": 60_000}), host):
        publish_queries(slow, [short])
        found = wait_for_predictions(slow, ["short"])
    with working(slow, host):
        publish_queries(slow, [soft])
        found |= wait_for_predictions(slow, ["soft"])
        eventually(lambda: model.taken_back >= 2, "the questions are taken back")
    host.close()
    assert found["soft"].decider == "evidence"
    assert found["soft"].degraded_reason == "the language model did not answer in time"
    # How long the worker took to start is not tested: if it came too late, it says so.
    assert found["short"].status in ("answered", "expired")
    if found["short"].status == "answered":
        assert found["short"].answered_at <= short.deadline


def test_a_full_model_makes_queries_wait_in_kafka_and_none_is_lost(
    folded: Settings, receipts: dict[str, list[Receipt]]
) -> None:
    """Room for 8 prompts and 100 queries: few are read, the rest wait, and then all are answered by the model."""
    model = ScriptedModel((0.02, 0.06))
    model.is_open = False
    host = ScriptedHost(model)
    narrow = folded.model_copy(
        update={"worker_in_flight_max": 8, "worker_batch_max": 12, "worker_busy_ms": 600_000}
    )
    asked = [
        query(customer, mine[-1].second, query_id=f"full-{customer}-{n}", candidates=["a"], priority=n)
        for customer, mine in sorted(receipts.items())[:10]
        for n in range(10)
    ]
    ids = {each.query_id for each in asked}
    with working(narrow, host) as telemetry:
        publish_queries(narrow, asked)

        def is_full() -> bool:
            counts = telemetry.snapshot()
            return counts["twins_worker_in_flight"] == 8 and counts["twins_worker_lag"] > 0

        eventually(is_full, "the model to be full and queries to be left in Kafka")
        for _ in range(20):  # it stays so: what is read is a batch more than there is room for
            time.sleep(0.05)
            assert telemetry.snapshot()["twins_worker_lag"] + 8 + 2 * 12 >= len(asked)
        assert not ids & prediction_ids(narrow)
        model.is_open = True
        found = wait_for_predictions(narrow, ids)
        eventually(lambda: telemetry.snapshot()["twins_worker_in_flight"] == 0, "nobody in flight")
    host.close()
    assert {p.decider for p in found.values()} == {"vllm"}
    assert {priority for _, _, priority in model.asked} == set(range(10))


def test_who_finds_no_room_for_too_long_is_answered_from_the_numbers(
    folded: Settings, receipts: dict[str, list[Receipt]]
) -> None:
    host = ScriptedHost(ScriptedModel((3_600, 3_600)))
    narrow = folded.model_copy(update={"worker_in_flight_max": 1, "worker_busy_ms": 500})
    customer, mine = sorted(receipts.items())[2]
    asked = [
        query(customer, mine[-1].second, query_id=f"busy-{n}", candidates=["a"], deadline_s=3_600)
        for n in range(5)
    ]
    with working(narrow, host):
        publish_queries(narrow, asked)
        eventually(lambda: len(prediction_ids(narrow) & {q.query_id for q in asked}) == 4, "four answers")
    # The fifth was at the model when the worker stopped: it is read again, and answered once.
    quick = ScriptedHost(ScriptedModel())
    with working(folded, quick):
        found = wait_for_predictions(folded, [each.query_id for each in asked])
    host.close()
    quick.close()
    by_numbers = [p for p in found.values() if p.decider == "evidence"]
    assert len(by_numbers) == 4
    assert all("busy: no room for" in (p.degraded_reason or "") for p in by_numbers)


def test_queries_of_a_segment_and_a_customer_take_off_together(
    folded: Settings, receipts: dict[str, list[Receipt]], host: ScriptedHost
) -> None:
    assert isinstance(host.model, ScriptedModel)
    asked = [
        query(customer, mine[-1].second, query_id=f"together-{customer}-{n}", candidates=[f"sku{n}"])
        for n in range(4)
        for customer, mine in sorted(receipts.items())
    ]
    publish_queries(folded, asked)
    with working(folded, host):
        found = wait_for_predictions(folded, [each.query_id for each in asked])
    hashes = {p.prompt_hash: (p.segment, p.customer_id) for p in found.values()}
    order = [hashes[prompt_hash(prompt)] for prompt, _, _ in host.model.asked]
    changes = sum(a != b for a, b in itertools.pairwise(order))
    # Read in at most a few batches, each in order; at random nearly every step would be to another customer.
    assert changes < len(order) // 2
