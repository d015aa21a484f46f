"""What a model reads before it decides: trips in words up to a moment, products, and nothing of anybody's answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.training.conftest import Taught
from trainer.tasks.history import History
from trainer.training.corpus import CptPace, catalogue_texts, corpus, histories, train_cpt
from trainer.training.questions import Examiner
from trainer.training.runs import Run, RunError
from twin_store.messages.codec import instant_of


def test_trips_are_told_in_order_and_none_after_the_moment(history: History, examiner: Examiner) -> None:
    before = int(history.lines["second"].median() or 0)  # type: ignore[arg-type]
    texts = list(histories(history, examiner.called, before))
    dates = [[line.split()[1] for line in text.splitlines()] for text in texts]
    assert all(found == sorted(found) and len(found) <= 8 for found in dates)
    assert max(found[-1] for found in dates) <= instant_of(before).date().isoformat()
    assert 'she bought "' in texts[0]


def test_every_product_is_told_once(history: History) -> None:
    texts = list(catalogue_texts(history))
    assert len(texts) == len(set(texts)) == history.catalogue.height
    assert all(text.startswith('A product of the shop: "') for text in texts)


def test_reading_is_noted_and_needs_something_to_read(
    history: History, examiner: Examiner, taught: Taught, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    texts = corpus(history, examiner.called, history.until, seed=1)[:60]
    assert texts == corpus(history, examiner.called, history.until, seed=1)[:60]
    model = AutoModelForCausalLM.from_pretrained(taught.folder, dtype="float32")
    pace = CptPace(steps=2, batch=2, length=64)
    train_cpt(model, taught.folder, texts, pace, tmp_path / "cpt")
    assert [line["step"] for line in Run(tmp_path / "cpt").losses()] == [1, 2]
    with pytest.raises(RunError, match="no text"):
        train_cpt(model, taught.folder, [], replace(pace, seed=2), tmp_path / "none")
