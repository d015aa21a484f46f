"""Segments get a calibration of their own where it makes their probabilities truer, and only there."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.trainer.test_heads import ROWS, table
from trainer.evaluation import ece
from trainer.heads import Head
from trainer.newton import sigmoid
from trainer.segment_calibration import SegmentLines

NAMES = np.array(["as-all", "too-sure", "few"])


def answers(seed: int, n: int = 9_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, truths and segments: those of one segment should lie closer to a third, and lower."""
    generator = np.random.default_rng(seed)
    odds = generator.normal(0, 1.5, n)
    segments = NAMES[np.where(np.arange(n) % 50 == 0, 2, np.arange(n) % 2)]
    true_odds = np.where(segments == "as-all", odds, 0.5 * odds - 0.8)
    return sigmoid(odds), (generator.random(n) < sigmoid(true_odds)).astype(np.int64), segments


def test_a_segment_that_is_off_is_put_right_and_others_are_left_alone() -> None:
    p, truths, segments = answers(1)
    found = SegmentLines.fit("v-1", p, truths, np.ones(len(p)), np.arange(len(p)), segments, False)
    assert "few" not in found.lines, "sixty YES and three hundred cases are the least"
    slope, offset = found.lines["too-sure"]
    assert slope == pytest.approx(0.5, abs=0.08)
    assert offset == pytest.approx(-0.8, abs=0.1)
    p, truths, segments = answers(2)
    moved = found.apply(p, np.arange(len(p)), segments, False)
    off, same = segments == "too-sure", segments == "few"
    assert ece(truths[off], moved[off]) < 0.3 * ece(truths[off], p[off])
    assert np.array_equal(moved[same], p[same])
    assert ece(truths[segments == "as-all"], moved[segments == "as-all"]) < 0.03
    assert SegmentLines.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_the_probabilities_of_options_still_add_up_and_keep_their_order() -> None:
    generator = np.random.default_rng(3)
    cases = np.repeat(np.arange(2_000), 5)
    scores = generator.normal(0, 1, (2_000, 5))
    p = np.exp(2 * scores) / np.exp(2 * scores).sum(axis=1, keepdims=True)  # twice as sure as the truth
    true = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    truth = (true.cumsum(axis=1) > generator.random((2_000, 1))).argmax(axis=1)
    labels = (np.arange(5) == truth[:, None]).astype(np.int64).ravel()
    segments = np.full(len(cases), "sure")
    found = SegmentLines.fit("v-1", p.ravel(), labels, np.ones(len(cases)), cases, segments, True)
    assert found.lines["sure"] == (pytest.approx(0.5, abs=0.1), 0.0)
    moved = found.apply(p.ravel(), cases, segments, True).reshape(-1, 5)
    assert moved.sum(axis=1) == pytest.approx(1.0)
    assert np.array_equal(np.argsort(moved, axis=1), np.argsort(p, axis=1))


def test_a_head_keeps_what_segments_have_and_older_ones_have_nothing() -> None:
    fit, later = table(ROWS, 1), table(ROWS, 2)
    segments = np.where(np.arange(ROWS) % 2, "one", "other")
    flipped = np.where((segments == "one") & (np.arange(ROWS) % 3 == 0), 0, later.labels)
    head = Head.fit(fit, replace(later, labels=flipped, segments=segments), seed=1)
    assert head.by_segment is not None
    assert "one" in head.by_segment.lines
    files = head.to_files("h")
    assert Head.from_files("h", files).to_files("h") == files
    scores = head.scores(later.evidence)
    plain = head.probabilities(scores, later.cases)
    own = head.probabilities(scores, later.cases, segments)
    assert own[segments == "one"].mean() < plain[segments == "one"].mean()
    described = json.loads(files["h.json"])
    del described["by_segment"], described["certainty"]  # as versions had it before
    older = Head.from_files("h", files | {"h.json": json.dumps(described).encode()})
    assert older.by_segment is None
    assert older.intervals(plain, later.evidence) == []
    assert np.array_equal(older.probabilities(scores, later.cases, segments), plain)
