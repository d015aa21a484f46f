"""The model that answers: the current version, and the last good one where that cannot be loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streams.settings import Settings
from streams.worker import models
from streams.worker.models import CurrentModel
from tests.streams.models import publish_model
from tests.streams.running import eventually
from trainer.fitted import DECIDER
from trainer.registry import Registry
from twin_store.catalogue import Catalogue
from twin_store.evidence import Products
from twin_store.market import Market


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "LOOK_EVERY_S", 0.02)


@pytest.fixture
def model(offline_settings: Settings) -> Iterator[CurrentModel]:
    publish_model(offline_settings)
    with closing(CurrentModel(offline_settings, Products(Catalogue(), Market()))) as model:
        yield model


def version_of(model: CurrentModel) -> str | None:
    return None if model.decider is None else model.decider.version


def tamper(settings: Settings, version: str) -> Path:
    file = next(Path(settings.models.removeprefix("file://")).glob(f"{DECIDER}/{version}/purchase.*.json"))
    file.write_bytes(file.read_bytes().replace(b"0.3", b"0.9", 1))
    return file


def test_a_new_version_is_taken_up(offline_settings: Settings, model: CurrentModel) -> None:
    newer = publish_model(offline_settings, bias=1.0).version
    eventually(lambda: version_of(model) == newer, "the newer version")


def test_a_version_that_was_tampered_with_does_not_answer(
    offline_settings: Settings, model: CurrentModel, caplog: pytest.LogCaptureFixture
) -> None:
    good = version_of(model)
    registry = Registry(offline_settings.models)
    bad = publish_model(offline_settings, bias=1.0).version
    registry.make_current(DECIDER, str(good))
    eventually(lambda: version_of(model) == good, "the good version")
    whole = tamper(offline_settings, bad)
    with caplog.at_level(logging.ERROR, logger="streams.worker.models"):
        registry.make_current(DECIDER, bad)
        eventually(lambda: "the hash differs" in caplog.text, "that it is told")
    assert version_of(model) == good
    whole.write_bytes(whole.read_bytes().replace(b"0.9", b"0.3", 1))
    eventually(lambda: version_of(model) == bad, "the version, once it is whole again")


def test_a_worker_that_starts_with_a_bad_version_has_none(offline_settings: Settings) -> None:
    tamper(offline_settings, publish_model(offline_settings).version)
    with closing(CurrentModel(offline_settings, Products(Catalogue(), Market()))) as model:
        assert version_of(model) is None


def test_a_segments_own_version_is_taken_up_and_taken_back(
    offline_settings: Settings, model: CurrentModel
) -> None:
    line = models.segment_line("regulars")
    own = publish_model(offline_settings, bias=2.0, line=line).version
    eventually(lambda: "regulars" in model.by_segment, "the segment's own version")
    assert model.by_segment["regulars"].version == own
    registry = Registry(offline_settings.models)
    registry.write_beside(line, "current.json", b"{")
    newer = publish_model(offline_settings, bias=3.0).version
    eventually(lambda: version_of(model) == newer, "another look")
    assert model.by_segment["regulars"].version == own, "a broken pointer takes nobody away"
    registry.withdraw(line)
    eventually(lambda: model.by_segment == {}, "that the model of all answers again")
