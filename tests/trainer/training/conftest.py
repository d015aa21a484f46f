"""A base trained for seconds on a small town's decisions, made once: it knows little, and all around it is real."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from trainer.deciders.vllm.tokens import ModelTokens
from trainer.fit_evidence import Effort
from trainer.tasks.workshop import Workshop
from trainer.tiny_base import catalogue_lines
from trainer.training.adapter import base_buckets
from trainer.training.config import TrainingConfig
from trainer.training.decision_base import MadeBase, make_decision_base
from trainer.training.material import Parts, gather
from trainer.training.questions import Examiner
from twin_store.lake import Lake
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import Buckets

EFFORT = Effort(
    purchase=3_000, purchase_floor=1_500, promotion=600, promotion_floor=0, completion=1_000, choice=200
)


@dataclass(frozen=True)
class Taught:
    """A trained base with what it was made of."""

    made: MadeBase
    folder: Path
    buckets: Buckets
    tokens: ModelTokens
    parts: dict[QuestionKind, Parts]


@pytest.fixture(scope="session")
def config() -> TrainingConfig:
    """A set-up of a few steps."""
    found = TrainingConfig.named("cpu-tiny")
    return replace(
        found,
        effort=EFFORT,
        base=replace(found.base, steps=60, batch=48, keep_every=0),
        sft=replace(found.sft, steps=6, batch=16, keep_every=2, rate=3e-3),
        grpo=replace(found.grpo, steps=3, prompts=4, look_every=2, keep_every=0),
    )


@pytest.fixture(scope="session")
def examiner(workshop: Workshop) -> Examiner:
    """Asks the town's twins."""
    return Examiner(workshop)


@pytest.fixture(scope="session")
def taught(
    workshop: Workshop,
    examiner: Examiner,
    town_lake: Lake,
    config: TrainingConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> Taught:
    """The town's base."""
    home = tmp_path_factory.mktemp("taught")
    folder = home / "base"
    made = make_decision_base(workshop, catalogue_lines(town_lake), config, folder, home / "run")
    parts = gather(workshop, examiner, config)
    return Taught(made, folder, base_buckets(folder), ModelTokens.of(folder), parts)
