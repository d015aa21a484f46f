"""A challenger of one segment: made from what its customers did, judged on days that it has not seen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.challenger import Effort, make_challenger, publish_challenger
from trainer.drift import snapshot
from trainer.fitted import Fitted
from trainer.registry import Registry
from trainer.segment_gate import ALL, Judged, verdict_of
from trainer.tasks.history import NotEnoughHistoryError
from trainer.tasks.members import segments_of
from trainer.tasks.workshop import Workshop
from twin_store.segments import load_definitions

EFFORT = Effort(labels=3_000, held_out_days=14)


def largest(workshop: Workshop) -> str:
    names = list(segments_of(workshop, load_definitions()).values())
    return max(set(names), key=names.count)


def test_a_challenger_is_stored_and_answers_nobody(
    workshop: Workshop, trained: tuple[Fitted, dict[str, Any]], tmp_path: Path
) -> None:
    segment = largest(workshop)
    made = make_challenger(workshop, segment, trained[0], load_definitions(), EFFORT)
    assert made.customers >= 15
    assert set(made.fitted.heads) == set(trained[0].heads)
    assert made.verdict.kinds[ALL].customers <= made.customers
    assert segment in made.snapshots
    registry, line = Registry(str(tmp_path)), f"evidence/{segment}"
    at = datetime(2024, 8, 1, tzinfo=UTC).isoformat()
    manifest = publish_challenger(registry, line, made, "evidence@v0", workshop.end, at, EFFORT)
    assert (manifest.parent, registry.current(line)) == ("evidence@v0", None)
    files = registry.load(line, manifest.version)[1]
    assert Fitted.from_files(files).kinds == made.fitted.kinds
    assert snapshot.from_bytes(files[snapshot.FILE])[segment].count > 0


def test_a_segment_with_too_few_customers_has_none(
    workshop: Workshop, trained: tuple[Fitted, dict[str, Any]]
) -> None:
    names = list(segments_of(workshop, load_definitions()).values())
    rare = next(name for name in load_definitions().names if names.count(name) < 15)
    with pytest.raises(NotEnoughHistoryError, match=f"{rare} has .* customers"):
        make_challenger(workshop, rare, trained[0], load_definitions(), EFFORT)


def scored(factor: float, seed: int = 3, customers: int = 40) -> Judged:
    """The same truths every time, said too high or too low by a factor."""
    chance = np.random.default_rng(seed)
    true = chance.beta(2, 6, 40 * customers)
    truths = (chance.random(len(true)) < true).astype(int)
    said = np.clip(true * factor, 0.01, 0.99)
    return Judged(truths, said, np.repeat(np.arange(customers), 40), np.ones(len(true)))


def test_the_gate_lets_through_what_is_better_beyond_chance_and_nothing_else() -> None:
    good, bad = scored(1.0), scored(2.2)
    passed = verdict_of({"purchase": (bad, good)})
    assert passed.passed
    assert passed.kinds[ALL].high < 0
    for champion, challenger in ((good, good), (good, bad), (good, scored(1.01))):
        assert not verdict_of({"purchase": (champion, challenger)}).passed
    mixed = verdict_of({"purchase": (bad, good), "basket_completion": (good, bad)})
    assert (mixed.passed, mixed.takes("purchase"), mixed.takes("basket_completion")) == (True, True, False)
    with pytest.raises(ValueError, match="nothing to judge on"):
        verdict_of({})


def test_a_row_counts_for_as_many_questions_as_it_stands_for() -> None:
    """What is better at the few that are asked about often, and worse at the many, is better."""
    truths, groups = np.tile([0, 1], 100), np.repeat(np.arange(50), 4)
    weights = np.where(truths == 0, 20.0, 1.0)
    low, high = np.full(200, 0.05), np.full(200, 0.5)
    found = verdict_of(
        {"purchase": (Judged(truths, high, groups, weights), Judged(truths, low, groups, weights))}
    )
    assert found.passed
    plain = np.ones(200)
    assert not verdict_of(
        {"purchase": (Judged(truths, high, groups, plain), Judged(truths, low, groups, plain))}
    ).passed


def test_one_outcome_alone_has_no_auc_and_the_verdict_can_be_written_down() -> None:
    ones = Judged(np.ones(50, dtype=int), np.full(50, 0.5), np.arange(50), np.ones(50))
    found = verdict_of({"purchase": (ones, ones)}).to_json()
    assert found["passed"] is False
    assert found["kinds"]["purchase"]["champion_auc"] is None
