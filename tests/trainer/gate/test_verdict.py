"""The gate: who is better passes, who is worse does not, and the verdict says why."""

from __future__ import annotations

import json

import numpy as np
import pytest

from trainer.gate.measures import chosen, gains, measured, paired_p
from trainer.gate.scores import Scores
from trainer.gate.verdict import TEXT_FILE, Guards, judge


def scores(noise: float, own: float = 1.0, n: int = 2_000, kind: str = "purchase", seed: int = 1) -> Scores:
    """A champion that knows the log odds up to noise, and a challenger with its own; both calibrated when it is 1."""
    dice = np.random.default_rng(seed)
    odds = dice.normal(0, 1.5, n)
    truths = (dice.random(n) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    champion = 1 / (1 + np.exp(-(odds + dice.normal(0, 1.0, n)) * 0.6))
    challenger = 1 / (1 + np.exp(-(odds + dice.normal(0, noise, n)) * own))
    return Scores(kind, truths, champion, challenger, np.ones(n), np.arange(n), np.arange(n) % 200)


def test_the_better_one_passes_and_wins_beyond_chance() -> None:
    verdict = judge("old", "new", [scores(0.1)], Guards(must_win=True))
    assert verdict.passed
    assert verdict.published_for == ("purchase",)
    (kind,) = verdict.kinds
    low, high = kind.auc_gain
    assert low is not None
    assert high is not None
    assert 0 < low < high
    assert kind.paired_p is not None
    assert kind.paired_p < 0.01


def test_one_that_is_as_good_is_kept_out_only_where_it_must_win() -> None:
    same = scores(1.0)
    same = Scores(
        same.kind, same.truths, same.champion, same.champion, same.weights, same.cases, same.customers
    )
    assert judge("old", "new", [same]).passed
    refused = judge("old", "new", [same], Guards(must_win=True))
    assert not refused.passed
    assert "no gain beyond chance" in refused.kinds[0].reasons[0]
    assert paired_p(same) == 1.0
    assert gains(same)["auc"] == (0.0, 0.0)


def test_a_fall_beyond_the_tolerance_of_a_kind_is_refused() -> None:
    worse = scores(3.0, own=0.3)
    verdict = judge("old", "new", [worse])
    assert not verdict.passed
    assert any("AUC falls by" in reason for reason in verdict.kinds[0].reasons)
    lenient = Guards(tolerance={"purchase": 1.0}, brier_tolerance=1.0, ece_max=1.0)
    assert judge("old", "new", [worse], lenient).passed


def test_calibration_must_not_pay() -> None:
    sure = scores(0.1, own=6.0)
    verdict = judge("old", "new", [sure])
    assert any("ECE is" in reason for reason in verdict.kinds[0].reasons)
    assert measured(sure, sure.challenger)["auc"] > measured(sure, sure.champion)["auc"]


def test_a_kind_passes_only_if_all_its_decisions_do() -> None:
    good, bad = scores(0.1, kind="purchase (matched)"), scores(4.0, kind="purchase (floor)")
    other = scores(0.1, kind="promotion_response (matched)")
    verdict = judge("old", "new", [good, bad, other])
    assert verdict.passed
    assert verdict.published_for == ("promotion_response",)
    assert judge("old", "new", [good, bad]).reasons == ("no question kind passed",)


@pytest.mark.parametrize("n", [0, 50])
def test_too_few_decisions_publish_nothing(n: int) -> None:
    verdict = judge("old", "new", [scores(0.1, n=n)])
    assert not verdict.passed
    assert "too few to judge by" in verdict.kinds[0].reasons[0]
    assert judge("old", "new", []).reasons == ("there are no held-out decisions to judge by",)


def test_one_outcome_publishes_nothing() -> None:
    one = scores(0.1)
    ones = np.ones_like(one.truths)
    same = Scores(one.kind, ones, one.champion, one.challenger, one.weights, one.cases, one.customers)
    assert not judge("old", "new", [same]).passed


def test_canaries_and_latency_are_guards() -> None:
    good = [scores(0.1)]
    assert "canaries" in judge("old", "new", good, canaries_wrong="canary 0 is off").reasons[0]
    bound = Guards(latency_max_ms=50)
    assert judge("old", "new", good, bound, latency_p99_ms=49).passed
    assert "latency" in judge("old", "new", good, bound, latency_p99_ms=51).reasons[0]


def test_what_is_decided_is_measured_by_hand() -> None:
    truths = np.array([1, 0, 1, 0])
    said = np.array([0.9, 0.8, 0.2, 0.1])
    cases = np.array([0, 0, 1, 1])
    found = Scores("purchase", truths, said, said, np.ones(4), cases, cases)
    assert chosen(found, said) == {
        "accuracy": 0.5,
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "jaccard": 0.25,
    }
    one = Scores("trip_choice", truths, said, said, np.ones(4), cases, cases, one_is_true=True)
    assert chosen(one, said)["hit_rate"] == 1.0


def test_deciders_that_were_asked_something_else_are_refused() -> None:
    one = scores(0.1)
    with pytest.raises(ValueError, match="same decisions"):
        Scores(one.kind, one.truths, one.champion[:-1], one.challenger, one.weights, one.cases, one.customers)
    with pytest.raises(ValueError, match="no probability"):
        Scores(one.kind, one.truths, one.champion, one.challenger * 2, one.weights, one.cases, one.customers)


def test_the_verdict_can_be_read_by_machines_and_people() -> None:
    verdict = judge("evidence", "an adapter", [scores(0.1), scores(0.1, n=10, kind="voucher_redemption")])
    found = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert found["kinds"]["purchase"]["passed"] is True
    assert found["reason"] == "passed for purchase"
    text = verdict.to_files()[TEXT_FILE].decode()
    assert text.startswith("# an adapter against evidence: passed\n")
    assert text.count("\n| ") == 3
