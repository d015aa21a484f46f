"""Intervals hold what they promise, are wide where little was seen, and an unknown customer is not spoken of."""

import json

import numpy as np

from trainer.certainty import BINS, Certainty, why_abstain


def answers(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities and shopping days; of ten customers one is little known."""
    generator = np.random.default_rng(seed)
    return generator.beta(1, 2, n), np.where(np.arange(n) % 10 == 0, 5.0, 50.0)


def test_the_share_that_comes_true_lies_in_the_interval() -> None:
    inside = []
    for seed in range(40):
        p, trips = answers(6_000, seed)
        certainty = Certainty.fit(p, np.ones(len(p)), trips)
        truths = np.random.default_rng(seed + 1_000).random(len(p)) < p
        lows, highs = certainty.intervals(p, trips)
        assert (lows <= p).all()
        assert (p <= highs).all()
        bins = np.searchsorted(certainty.edges, p, side="right") * 2 + (trips > 12)
        for sort in np.unique(bins):
            rows = bins == sort
            inside.append(lows[rows].mean() <= truths[rows].mean() <= highs[rows].mean())
    assert 0.9 < np.mean(inside) < 0.98  # neither too narrow nor too wide
    assert len(inside) == 40 * 2 * BINS


def test_little_seen_is_less_sure() -> None:
    p, trips = answers(6_000, 1)
    certainty = Certainty.fit(p, np.ones(len(p)), trips)
    lows, highs = certainty.intervals(np.array([0.4, 0.4, 0.4]), np.array([5.0, 50.0, np.nan]))
    widths = highs - lows
    assert widths[0] > 2 * widths[1]
    assert widths[2] == widths[0]


def test_weighted_answers_count_as_many_as_they_are_worth() -> None:
    p, trips = answers(3_000, 2)
    plain = Certainty.fit(p, np.ones(len(p)), trips)
    scaled = Certainty.fit(p, np.full(len(p), 7.0), trips)
    assert np.allclose(plain.counts, scaled.counts)
    assert Certainty.from_json(json.loads(json.dumps(plain.to_json()))) == plain


def test_it_abstains_on_who_is_hardly_known() -> None:
    assert why_abstain(3.0) is None
    assert why_abstain(2.0) == "thin evidence: 2 shopping days in the last 53 weeks, fewer than 3"
    assert why_abstain(float("nan")) is not None
