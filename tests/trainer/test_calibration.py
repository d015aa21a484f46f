"""Curves and temperatures: what they promise of any scores."""

import json

import numpy as np
import pytest

from trainer.calibration import ISOTONIC_OUTCOMES_MIN, Curve, Temperature, softmax
from trainer.evaluation import ece, log_loss
from trainer.newton import sigmoid

ROWS = 20_000


def drawn(seed: int, rows: int = ROWS, bend: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Scores that exaggerate, and labels; with a bend no straight line makes them right."""
    generator = np.random.default_rng(seed)
    odds = generator.normal(-0.5, 1.2, rows)
    labels = (generator.random(rows) < sigmoid(odds)).astype(np.int64)
    return (np.where(odds > 0, 4 * odds, 0.5 * odds) if bend else 3 * odds + 1), labels


@pytest.mark.parametrize("bend", [False, True])
def test_a_curve_makes_exaggerated_scores_true(bend: bool) -> None:
    scores, labels = drawn(1, bend=bend)
    curve = Curve.fit(scores, labels, np.ones(ROWS))
    later, truths = drawn(2, bend=bend)
    assert ece(truths, sigmoid(later)) > 0.05
    assert ece(truths, curve.apply(later)) < 0.015


def test_a_line_finds_what_was_done_to_the_odds() -> None:
    scores, labels = drawn(3)
    line = Curve.fit_line(scores, labels, np.ones(ROWS))
    assert line.slope == pytest.approx(1 / 3, abs=0.02)
    assert line.offset == pytest.approx(-1 / 3, abs=0.05)


def test_little_data_gets_a_line_only() -> None:
    scores, labels = drawn(4, rows=ISOTONIC_OUTCOMES_MIN)
    assert Curve.fit(scores, labels, np.ones(len(labels))).knots == ()
    scores, labels = drawn(4)
    assert len(Curve.fit(scores, labels, np.ones(ROWS)).knots) > 5


@pytest.mark.parametrize("seed", range(5))
def test_a_curve_never_changes_which_is_likelier(seed: int) -> None:
    scores, labels = drawn(seed, bend=True)
    if seed % 2:
        labels = np.random.default_rng(seed).integers(0, 2, ROWS)  # nothing to find, and even then
    curve = Curve.fit(scores, labels, np.ones(ROWS))
    far = np.linspace(-200, 200, 5_001)
    said = curve.apply(far)
    assert (np.diff(said) >= 0).all()
    assert ((said > 0) & (said < 1)).all()


def test_a_weight_counts_as_so_many_rows() -> None:
    scores, labels = drawn(5, rows=900)
    weights = np.random.default_rng(5).integers(1, 4, 900)
    weighted = Curve.fit_line(scores, labels, weights.astype(np.float64))
    repeated = Curve.fit_line(np.repeat(scores, weights), np.repeat(labels, weights), np.ones(weights.sum()))
    assert weighted.slope == pytest.approx(repeated.slope)
    assert weighted.offset == pytest.approx(repeated.offset)


def test_probabilities_of_one_case_add_up() -> None:
    cases = np.repeat(np.arange(50), np.random.default_rng(6).integers(1, 9, 50))
    scores = np.random.default_rng(7).normal(0, 400, len(cases))
    said = Temperature(0.7).apply(scores, cases)
    assert np.bincount(cases, said) == pytest.approx(np.ones(50))
    assert np.isfinite(said).all()


def test_a_temperature_cools_what_is_too_sure() -> None:
    generator = np.random.default_rng(8)
    cases = np.repeat(np.arange(4_000), 5)
    odds = generator.normal(size=len(cases))
    true = [generator.choice(5, p=softmax(odds[i : i + 5], np.zeros(5))) for i in range(0, len(cases), 5)]
    labels = (np.tile(np.arange(5), 4_000) == np.repeat(true, 5)).astype(np.int64)
    found = Temperature.fit(3 * odds, labels, cases)
    assert found.factor == pytest.approx(1 / 3, rel=0.1)
    assert log_loss(labels, found.apply(3 * odds, cases)) < log_loss(labels, softmax(3 * odds, cases))


def test_they_survive_json() -> None:
    scores, labels = drawn(9, bend=True)
    curve = Curve.fit(scores, labels, np.ones(ROWS))
    assert Curve.from_json(json.loads(json.dumps(curve.to_json()))) == curve
    assert Temperature.from_json(json.loads(json.dumps(Temperature(0.3).to_json()))) == Temperature(0.3)
