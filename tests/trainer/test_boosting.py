"""Trees: on all rows with a given number of them, and on the softmax of options of which one is true."""

import numpy as np
import pytest

from trainer.boosting import Boosted, available, fit_boosted
from trainer.evaluation import hit_rate

pytestmark = pytest.mark.skipif(not available(), reason="LightGBM is an extra")
CASES, OPTIONS = 1_000, 5


def options(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evidence, labels and cases: a number makes an option likelier, another is the same for all of a case."""
    dice = np.random.default_rng(seed)
    telling = dice.normal(size=(CASES, OPTIONS))
    shared = np.repeat(dice.normal(size=(CASES, 1)), OPTIONS, axis=1)
    true = np.argmax(2 * telling + dice.gumbel(size=telling.shape), axis=1)
    labels = np.zeros((CASES, OPTIONS), dtype=np.int64)
    labels[np.arange(CASES), true] = 1
    evidence = np.stack((telling.ravel(), shared.ravel()), axis=1)
    return evidence, labels.ravel(), np.repeat(np.arange(CASES), OPTIONS)


def fit(rounds: int | None = None) -> Boosted:
    evidence, labels, cases = options(1)
    found = fit_boosted(evidence, labels, np.ones(len(labels)), seed=1, rounds=rounds, cases=cases)
    assert found is not None
    return found


def test_options_of_which_one_is_true_are_learnt_against_each_other() -> None:
    found = fit()
    evidence, labels, cases = options(2)
    assert 1 < found.rounds < 600
    assert hit_rate(labels, found.scores(evidence), cases) > 0.55
    assert fit().text == found.text


def test_a_given_number_of_trees_is_grown_on_all_rows() -> None:
    found = fit(rounds=37)
    assert found.rounds == 37
    evidence, labels, cases = options(1)
    changed = labels.copy()
    changed[-OPTIONS:] = np.roll(labels[-OPTIONS:], 1)
    other = fit_boosted(evidence, changed, np.ones(len(labels)), seed=1, rounds=37, cases=cases)
    assert other is not None
    assert other.text != found.text
