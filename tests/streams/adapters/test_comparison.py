"""A trial is judged by what happened, joined by query: in pairs for a shadow, each by its own customers in A/B."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from streams.adapters.comparison import Comparison, compare
from streams.adapters.shadows import Shadows
from streams.kafka import Publisher
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import OUTCOMES, PREDICTIONS, SHADOWS
from trainer.evaluation import Scored, brier, difference_interval
from twin_store.messages import Outcome, Prediction

pytestmark = pytest.mark.broker
CHAMPION, CHALLENGER = "vllm/families/1@1", "vllm/families/2@2"
NOW = datetime(2024, 5, 1, tzinfo=UTC)
QUERIES = 300


@pytest.fixture
def shop(settings: Settings) -> Settings:
    apply_topics(settings, topics=(OUTCOMES, PREDICTIONS, SHADOWS))
    return settings


def prediction(number: int, adapter: str | None, p: list[float], **changes: Any) -> Prediction:
    body = {
        "query_id": f"q{number}",
        "kind": "purchase" if number % 3 else "voucher_redemption",
        "customer_id": f"c{number // 2}",
        "status": "answered",
        "as_of": NOW,
        "raised_at": NOW,
        "answered_at": NOW,
        "latency_ms": 1.0,
        "raised_by": "due_item",
        "probabilities": p,
        "decider": "vllm",
        "decider_version": "x",
        "subject": {},
        "settlement": {"by": "next_trip", "until": NOW + timedelta(days=14)},
        "adapter": adapter,
        "segment": "families",
    }
    return Prediction(**body | changes)


def outcome(of: Prediction, truths: list[int], void: bool = False) -> Outcome:
    return Outcome(
        query_id=of.query_id,
        kind=of.kind,
        customer_id=of.customer_id,
        as_of=NOW,
        settled_at=NOW,
        settled_by="receipt",
        void=void,
        truths=[] if void else truths,
        probabilities=of.probabilities,
        decider=of.decider,
        decider_version=of.decider_version,
    )


class Story:
    """Answers of both and what happened, drawn by chance; the challenger is the better one."""

    def __init__(self, shop: Settings) -> None:
        self.shop = shop
        chance = np.random.default_rng(5)
        self.truths = [(chance.random(2) < 0.4).astype(int).tolist() for _ in range(QUERIES)]

        def said(strength: float) -> list[list[float]]:
            pulls = [strength * (2 * np.array(t) - 1) + chance.normal(0, 1, 2) for t in self.truths]
            return [(1 / (1 + np.exp(-pull))).tolist() for pull in pulls]

        self.weak, self.strong = said(0.3), said(1.2)

    def publish(self, answers: list[Prediction], outcomes: list[Outcome]) -> None:
        with Publisher(self.shop) as publisher:
            for answer in answers:
                publisher.publish(PREDICTIONS, answer.customer_id.encode(), answer.to_wire())
            for each in outcomes:
                publisher.publish(OUTCOMES, each.customer_id.encode(), each.to_wire())


def check(found: Comparison, truths: list[int], first: list[float], second: list[float]) -> None:
    for name, measure in (("brier", brier_score_loss), ("log_loss", log_loss), ("auc", roc_auc_score)):
        measured = found.measures[name]
        one, other = measure(truths, first), measure(truths, second)
        assert measured.champion == pytest.approx(one, abs=1e-5)
        assert measured.challenger == pytest.approx(other, abs=1e-5)
        assert measured.difference == pytest.approx(other - one, abs=1e-5)
        assert measured.low is not None
        assert measured.high is not None
        assert measured.low < other - one < measured.high
        better = measured.high < 0 if name != "auc" else measured.low > 0
        assert better


def test_a_shadow_is_judged_on_the_queries_that_both_answered(shop: Settings) -> None:
    """What only one answered, what was put to a shadow twice, void ones and other authors are left out."""
    story = Story(shop)
    answers = [prediction(number, CHAMPION, p) for number, p in enumerate(story.weak)]
    outcomes = [outcome(answer, truths) for answer, truths in zip(answers, story.truths, strict=True)]
    outcomes[7] = outcome(answers[7], [], void=True)
    answers[8] = prediction(8, None, [0.0, 0.0], decider="evidence", degraded_reason="the engine was down")
    answers[9] = prediction(9, CHAMPION, [], status="expired")
    story.publish(answers, outcomes)
    said = []
    for number, p in enumerate(story.strong):
        if number != 10:
            said.append(prediction(number, CHALLENGER, p))
            said.append(prediction(number, CHALLENGER, [1 - each for each in p]))
            said.append(prediction(number, "vllm/families/3@3", [0.5, 0.5]))
    shadows = Shadows(shop)
    for each in said:
        shadows.publish(each.customer_id, each.query_id, each.to_wire())
    shadows.close()

    found = {each.kind: each for each in compare(shop, CHAMPION, CHALLENGER, "shadow")}
    assert set(found) == {"all", "purchase", "voucher_redemption"}
    kept = [number for number in range(QUERIES) if number not in (7, 8, 9, 10)]
    assert found["all"].answers == (len(kept), len(kept))
    assert found["all"].probabilities == (2 * len(kept), 2 * len(kept))
    purchases = [number for number in kept if number % 3]
    for kind, numbers in (("all", kept), ("purchase", purchases)):
        flat = [[p for n in numbers for p in of[n]] for of in (story.truths, story.weak, story.strong)]
        check(found[kind], flat[0], flat[1], flat[2])


def test_an_ab_test_is_judged_on_the_customers_of_each(shop: Settings) -> None:
    story = Story(shop)
    ab = [CHALLENGER if number // 2 % 3 == 0 else CHAMPION for number in range(QUERIES)]
    answers = [
        prediction(number, ab[number], (story.strong if ab[number] == CHALLENGER else story.weak)[number])
        for number in range(QUERIES)
    ]
    story.publish(answers, [outcome(a, t) for a, t in zip(answers, story.truths, strict=True)])
    found = compare(shop, CHAMPION, CHALLENGER, "ab")[0]
    assert found.answers == (ab.count(CHAMPION), ab.count(CHALLENGER))
    for adapter, measured in (
        (CHAMPION, found.measures["auc"].champion),
        (CHALLENGER, found.measures["auc"].challenger),
    ):
        mine = [number for number in range(QUERIES) if ab[number] == adapter]
        truths = [t for n in mine for t in story.truths[n]]
        assert measured == pytest.approx(
            roc_auc_score(truths, [p for n in mine for p in answers[n].probabilities]), abs=1e-5
        )
    brier_found = found.measures["brier"]
    assert brier_found.high is not None
    assert brier_found.high < 0


def test_without_outcomes_there_is_nothing_to_compare(shop: Settings) -> None:
    Story(shop).publish([prediction(1, CHAMPION, [0.5])], [])
    assert compare(shop, CHAMPION, CHALLENGER, "shadow") == []


def test_a_paired_interval_leaves_out_what_both_have_in_common() -> None:
    """The same question is hard for both: drawn together, their difference is known much better."""
    chance = np.random.default_rng(6)
    truths = (chance.random(500) < 0.5).astype(float)
    hard = chance.normal(0, 1.5, 500)
    first, second = (
        Scored(truths, 1 / (1 + np.exp(-(pull * (2 * truths - 1) + hard))), np.arange(500))
        for pull in (0.5, 0.6)
    )
    paired = difference_interval(brier, first, second, is_paired=True)
    apart = difference_interval(brier, first, second, is_paired=False)
    assert paired[0] < brier(truths, second.probabilities) - brier(truths, first.probabilities) < paired[1]
    assert paired[1] - paired[0] < (apart[1] - apart[0]) / 4
