"""The demo's report has every number in any case, takes them from what was published, and complains where it must."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from streams.demo import report as reports
from streams.demo.authors import authors
from streams.demo.campaign_desk import choices
from streams.demo.cases import Case, Cases, Settled
from streams.demo.controls import controls
from streams.demo.report import Baskets, Measured, build_report, complaints, percentile
from streams.demo.scores import Options
from streams.live_profiles import LiveProfile
from streams.settings import Settings
from streams.sources.chaos import ChaosReport
from tests.streams.answers import answered
from tests.streams.queries import query
from trainer.deciders.base import Decision, DecisionInput, Refusal
from twin_store.dna.twin import Twin
from twin_store.messages import Outcome

KEYS = {
    "baskets", "lines", "lines_per_s", "twins", "queries", "predictions", "answered_share",
    "freshness_ms_p50", "freshness_ms_p99", "answer_ms_p50", "answer_ms_p99", "auc", "brier", "ece",
    "n_scored", "auc_7_days_stale", "auc_wrong_customer", "duplicates_injected", "poison_injected",
    "dead_lettered", "verify_divergent", "verify_total", "decider",
    "answered_by", "by_decider", "by_adapter", "degraded", "degraded_share", "same_questions",
}  # fmt: skip
NOON = 20_000 * 86_400
GOOD: dict[str, Any] = {
    "baskets": 10, "lines": 30, "published": {"baskets": 11, "lines": 33}, "set_aside_late": {"baskets": 1, "lines": 3},
    "verify_divergent": 0, "verify_total": 5, "poison_injected": 2, "dead_lettered": 2, "poison_missed": [],
    "set_aside_wrongly": [], "answers_of_one_query_max": 1, "predictions": 200, "queries": 200,
    "answered_share": 0.995, "without_model": 0, "n_scored": 50,
}  # fmt: skip


def settled(number: int, probabilities: list[float], truths: list[int], **changes: Any) -> Settled:
    """A purchase question with its answer and its truth."""
    customer, skus = f"c{number}", [f"sku-{i}" for i in range(len(truths))]
    prediction = answered(customer, NOON, skus).model_copy(update={"probabilities": probabilities} | changes)
    outcome = Outcome.model_validate(
        {
            "query_id": prediction.query_id, "kind": "purchase", "customer_id": customer, "as_of": prediction.as_of,
            "settled_at": prediction.as_of + timedelta(days=1), "settled_by": "receipt", "truths": truths,
            "probabilities": probabilities, "decider": "evidence", "decider_version": "1",
        }
    )  # fmt: skip
    asked = query(customer, NOON, query_id=prediction.query_id, candidates=skus)
    return Settled(asked.model_copy(update={"kind": changes.get("kind", "purchase")}), prediction, outcome)


@pytest.fixture
def _no_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment in which nothing was published."""
    monkeypatch.setattr(reports, "live_profiles", lambda settings: {})
    monkeypatch.setattr(reports, "read_letters", lambda *asked: iter(()))
    monkeypatch.setattr(reports, "read_to_end", lambda *asked: iter(()))


@pytest.mark.usefixtures("_no_topics")
def test_every_number_is_there_even_of_nothing(offline_settings: Settings) -> None:
    report = build_report(offline_settings, Measured(), Cases([], 0))
    assert report.keys() >= KEYS
    assert report["auc"] is report["auc_7_days_stale"] is report["auc_wrong_customer"] is None
    assert report["verify_divergent"] is report["freshness_ms_p50"] is report["lines_per_s"] is None
    assert (report["queries"], report["n_scored"], report["baskets"], report["answered_share"]) == (
        0,
        0,
        0,
        0.0,
    )


@pytest.mark.usefixtures("_no_topics")
def test_what_was_measured_is_reported(offline_settings: Settings) -> None:
    found = [settled(i, [0.8, 0.1], [1, 0], latency_ms=float(i)) for i in range(1, 5)]
    cases = [Case(each.query, each.prediction, each.outcome) for each in found]
    refused = found[0].prediction.model_copy(
        update={
            "status": "rejected",
            "probabilities": [],
            "reason": "version 1 has no model of purchase; train",
        }
    )
    cases += [Case(found[0].query, refused, None), Case(found[1].query, None, None)]
    measured = Measured(past_s=2.0, freshness_ms=np.arange(101.0))
    measured.past.lines = 50
    report = build_report(offline_settings, measured, Cases(cases, 1))
    assert (report["queries"], report["predictions"], report["without_model"]) == (6, 5, 1)
    assert report["answered_share"] == pytest.approx(4 / 6, abs=1e-4)
    assert (report["answer_ms_p50"], report["freshness_ms_p99"], report["lines_per_s"]) == (2.5, 99.0, 25)
    assert (report["auc"], report["n_scored"]) == (1.0, 8)
    assert report["by_kind"]["purchase"]["base_rate"] == 0.5


def test_baskets_are_those_of_the_profiles() -> None:
    value = b'{"dna": {"activity": {"receipts": 3, "lines": 7, "returned_lines": 2, "units": 1.5}}}'
    profile = LiveProfile("h", 3, "", {}, value)
    assert Baskets.folded({"a": profile, "b": profile}) == Baskets(6, 18)


def test_what_was_published_counts_each_receipt_once() -> None:
    measured = Measured(chaos=ChaosReport(records=5, duplicates_later=2))
    measured.past.messages["retail.transactions"] = 4
    measured.past.lines, measured.live.lines = 40, 50
    assert Baskets.published(measured) == Baskets(9, 90)


def test_a_good_report_gives_no_complaint() -> None:
    assert complaints(GOOD) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"verify_divergent": 1}, "1 of 5 twins differ"),
        ({"baskets": 11}, "hold 11 baskets; 10 were published in time"),
        ({"lines": 29}, "hold 29 lines; 30 were published in time"),
        ({"dead_lettered": 1}, "2 messages were poisoned and 1 set aside"),
        ({"poison_missed": ["t/0/1"]}, "1 messages were poisoned and not set aside: t/0/1"),
        ({"set_aside_wrongly": ["t/0/2", "t/0/3"]}, "2 messages were good and set aside: t/0/2, t/0/3"),
        ({"answers_of_one_query_max": 2}, "answered more than once"),
        ({"predictions": 199}, "200 queries got 199 predictions"),
        ({"answered_share": 0.98}, "only 98.0% of the queries"),
        ({"answered_share": 0.90, "without_model": 10}, "only 90.0% of the queries"),
        ({"n_scored": 0}, "stream more weeks"),
    ],
)
def test_each_fault_is_a_complaint(changes: dict[str, Any], says: str) -> None:
    (complaint,) = complaints(GOOD | changes)
    assert says in complaint


def test_a_kind_without_a_model_is_no_delay() -> None:
    assert complaints(GOOD | {"answered_share": 0.95, "without_model": 10}) == []


def test_options_are_ranked_within_their_kind() -> None:
    """Vouchers are said little and come true rarely, purchases the other way: across kinds that is no merit."""
    some = [settled(1, [0.9, 0.8], [0, 1]), settled(2, [0.2, 0.1], [0, 1], kind="voucher_redemption")]
    options = Options.of(some)
    assert options.summary()["auc"] == 0.0
    assert options.of_kind("purchase").summary()["n_scored"] == 2
    assert options.summary()["brier"] == pytest.approx((0.81 + 0.04 + 0.04 + 0.81) / 4)
    assert Options.of(some, [[0.1, 0.9], [0.1, 0.9]]).auc() == 1.0


def test_nothing_settled_has_no_score() -> None:
    expected = {"auc": None, "brier": None, "ece": None, "n_scored": 0, "base_rate": None}
    assert Options.of([]).summary() == expected
    assert Options.of([settled(1, [0.5], [1])]).summary()["auc"] is None, "one outcome cannot be ranked"
    assert percentile(np.zeros(0), 50) is None


def test_controls_of_nothing_ask_nothing(offline_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.demo.controls._twins", lambda *asked: {})
    found = controls(offline_settings, [], None)  # type: ignore[arg-type] # nobody is asked
    assert found == dict.fromkeys(
        ("auc_asked_again", "auc_7_days_stale", "auc_wrong_customer", "same_questions")
    )


class _Evidence:
    """Gives the first option half of what it gives the second."""

    name, version = "evidence", "1"

    def decide(self, batch: Sequence[DecisionInput]) -> list[Decision | Refusal]:
        return [Decision([0.3, 0.6], [0.3, 0.6], None, []) for _ in batch]


def test_evidence_is_asked_what_the_language_model_answered(
    offline_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.demo.controls._twins", lambda *asked: {"c1": Twin(), "c2": Twin()})
    by_model = settled(1, [0.9, 0.1], [1, 0], decider="vllm", prompt_hash="0" * 64, adapter="vllm/all@1")
    cases = [by_model, settled(2, [0.2, 0.1], [0, 1])]
    found = controls(offline_settings, cases, _Evidence())
    assert found["auc_asked_again"] == 0.5
    assert {name: (s["auc"], s["n_scored"]) for name, s in found["same_questions"].items()} == {
        "vllm": (1.0, 2),
        "evidence": (0.0, 2),
    }


def test_who_answered_is_counted_and_what_answers_lacked() -> None:
    some = [
        settled(1, [0.9, 0.1], [1, 0], decider="vllm", prompt_hash="0" * 64, adapter="vllm/all@1"),
        settled(2, [0.9, 0.1], [0, 1], decider="vllm", prompt_hash="1" * 64),
        settled(3, [0.9, 0.1], [1, 0], degraded_reason="the language model was busy: no room for 5.1 s"),
        settled(
            4, [0.9, 0.1], [1, 0], degraded_reason="no twin; the language model was busy: no room for 5.2 s"
        ),
    ]
    found = authors(Cases([Case(each.query, each.prediction, each.outcome) for each in some], 1))
    assert found["answered_by"] == {"vllm": 2, "evidence": 2}
    assert found["by_adapter"] == {"vllm/all@1": 1, "the base": 1}
    assert found["degraded"] == {"the language model was busy": 2, "no twin": 1}
    assert [found["by_decider"][name]["auc"] for name in ("vllm", "evidence")] == [0.5, 1.0]


def test_without_customers_who_differ_no_request_is_made() -> None:
    assert choices([], datetime(2017, 8, 1, tzinfo=UTC)) == []
