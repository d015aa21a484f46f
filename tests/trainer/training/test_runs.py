"""A run that is cut off goes on with the same examples and ends with the same model; what is broken is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.training.conftest import Taught
from trainer.training.base import Pace, train_base
from trainer.training.encoded import Encoded, UnfitExampleError
from trainer.training.examples import Example, examples_of
from trainer.training.questions import Examiner
from trainer.training.runs import CHECKPOINT, RUN, Run, RunError, order_of
from trainer.training.sft import SftPace, train_sft

PACE = Pace(steps=7, batch=8, warmup=2, keep_every=2)


class Killed(Exception):  # noqa: N818 - it stands for a signal
    """The process is gone."""


@pytest.fixture(scope="module")
def examples(examiner: Examiner, taught: Taught) -> list[Example]:
    asked = taught.parts["purchase"].last
    return list(examples_of(examiner, asked.where(np.arange(len(asked)) < 10), taught.buckets))


@pytest.fixture
def data(examples: list[Example], taught: Taught) -> Encoded:
    return Encoded.of(examples, taught.tokens, 4_096)


def cut_off(monkeypatch: pytest.MonkeyPatch, step: int, train: Callable[[], object]) -> None:
    """Train, and be killed after a step."""
    note = Run.note

    def cut(self: Run, at: int, **said: Any) -> None:
        if at > step:
            raise Killed
        note(self, at, **said)

    with monkeypatch.context() as patched:
        patched.setattr(Run, "note", cut)
        with pytest.raises(Killed):
            train()


def test_every_example_once_an_epoch_and_the_order_follows_from_the_seed() -> None:
    rows = np.concatenate([order_of(step, 4, 10, seed=1) for step in range(5)])
    assert sorted(rows[:10].tolist()) == sorted(rows[10:20].tolist()) == list(range(10))
    assert rows[:10].tolist() != rows[10:20].tolist()
    assert order_of(3, 4, 10, seed=1).tolist() == rows[12:16].tolist()
    assert order_of(3, 4, 10, seed=2).tolist() != rows[12:16].tolist()


@pytest.mark.parametrize("step", [1, 4])
def test_a_base_that_was_cut_off_ends_as_if_it_had_not_been(
    taught: Taught, data: Encoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    folders = [tmp_path / "whole", tmp_path / "cut"]
    for folder in folders:
        shutil.copytree(taught.folder, folder)
    train_base(folders[0], data, PACE, tmp_path / "run-whole")
    cut_off(monkeypatch, step, lambda: train_base(folders[1], data, PACE, tmp_path / "run-cut"))
    train_base(folders[1], data, PACE, tmp_path / "run-cut")
    whole, cut = (Run(tmp_path / name).losses() for name in ("run-whole", "run-cut"))
    assert [line["step"] for line in whole] == list(range(1, PACE.steps + 1))
    assert cut == whole
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1]
    assert weights[0] != (taught.folder / "model.safetensors").read_bytes()


def test_an_adapter_that_was_cut_off_goes_on_with_the_same_examples(
    taught: Taught, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = SftPace(steps=4, batch=6, warmup=1, keep_every=2)
    train_sft(taught.folder, examples, pace, tmp_path / "whole")
    cut_off(monkeypatch, 3, lambda: train_sft(taught.folder, examples, pace, tmp_path / "cut"))
    train_sft(taught.folder, examples, pace, tmp_path / "cut")
    whole, cut = (Run(tmp_path / name).losses() for name in ("whole", "cut"))
    assert [line["step"] for line in whole] == [1, 2, 3, 4]
    assert cut == whole


def test_a_run_says_what_it_was_made_of(taught: Taught, data: Encoded, tmp_path: Path) -> None:
    said = json.loads((taught.folder.parent / "run" / RUN).read_text())
    assert said["settings"]["stage"] == "base"
    assert set(said["libraries"]) >= {"torch", "trl", "peft", "transformers"}
    Run.begun(tmp_path, {"rate": 1.0}, data.sha256())
    Run.begun(tmp_path, {"rate": 1.0}, data.sha256())
    with pytest.raises(RunError, match="other settings"):
        Run.begun(tmp_path, {"rate": 2.0}, data.sha256())
    changed = replace(data, right=1 - data.right)
    with pytest.raises(RunError, match="other data_sha256"):
        Run.begun(tmp_path, {"rate": 1.0}, changed.sha256())


def test_a_corrupted_checkpoint_is_named_and_not_gone_on_from(
    taught: Taught, data: Encoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(taught.folder, folder)
    before = (folder / "model.safetensors").read_bytes()
    cut_off(monkeypatch, 4, lambda: train_base(folder, data, PACE, tmp_path / "run"))
    path = tmp_path / "run" / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RunError, match="broken"):
        train_base(folder, data, PACE, tmp_path / "run")
    assert (folder / "model.safetensors").read_bytes() == before


def test_nothing_to_learn_from_is_said(taught: Taught, tmp_path: Path) -> None:
    with pytest.raises(UnfitExampleError, match="no example"):
        Encoded.of([], taught.tokens, 4_096)
    with pytest.raises(RunError, match="no example"):
        train_sft(taught.folder, [], SftPace(), tmp_path)


def test_a_prompt_beyond_the_model_is_refused(examples: list[Example], taught: Taught) -> None:
    with pytest.raises(UnfitExampleError, match="the model reads 18"):
        Encoded.of(examples, taught.tokens, 20)
