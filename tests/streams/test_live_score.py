"""The running score is the score."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from streams.live_score import Tally


def test_the_binned_score_is_the_exact_one() -> None:
    random = np.random.default_rng(4)
    tally = Tally()
    probabilities, truths = [], []
    for _ in range(300):
        p = random.random(random.integers(1, 6))
        y = (random.random(len(p)) < p**2).astype(int)
        tally.add(p.tolist(), y.tolist())
        probabilities += p.tolist()
        truths += y.tolist()
    p, y = np.array(probabilities), np.array(truths)
    found = tally.score()
    assert (found.outcomes, found.n, found.void) == (300, len(p), 0)
    assert found.brier == pytest.approx(((p - y) ** 2).mean(), abs=1e-5)
    assert found.auc == pytest.approx(roc_auc_score(y, p), abs=1e-3)
    bins = np.minimum((p * 10).astype(int), 9)
    expected = sum(abs(p[bins == b].sum() - y[bins == b].sum()) for b in range(10)) / len(p)
    assert found.ece == pytest.approx(expected, abs=1e-4)


def test_without_outcomes_or_with_one_truth_there_is_no_auc() -> None:
    tally = Tally()
    assert tally.score().brier is None
    tally.add([0.2, 1.0], [1, 1])
    assert (tally.score().auc, tally.score().n) == (None, 2)
