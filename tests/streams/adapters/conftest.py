"""An engine, a service that follows the topic for it, and the commands that release."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.adapters.service import AdapterService
from streams.cli import main as cli
from streams.settings import Settings
from streams.topic_admin import apply_topics
from tests.streams.adapters.hosted import Hosted
from trainer.deciders.vllm.adapter_host import VllmAdapters

Twins = Callable[..., Any]


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Hosted]:
    """A scripted model behind the real engine."""
    made = Hosted(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def shop(settings: Settings, hosted: Hosted) -> Settings:
    """A deployment with its topics and with the models of `hosted`."""
    apply_topics(settings)
    return settings.model_copy(update={"models_url": str(hosted.models)})


@pytest.fixture
def start_service(shop: Settings, hosted: Hosted) -> Iterator[Callable[[str], AdapterService]]:
    """Starts a worker's service; all are closed in the end."""
    started: list[AdapterService] = []

    def start(worker: str) -> AdapterService:
        started.append(AdapterService(shop, VllmAdapters(lambda: hosted.thread), worker))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def service(shop: Settings, hosted: Hosted) -> Iterator[AdapterService]:
    """A worker's service."""
    with closing(AdapterService(shop, VllmAdapters(lambda: hosted.thread), "worker-0")) as started:
        yield started


@pytest.fixture
def twins(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> Twins:
    """Runs `twins adapters …` in the deployment; returns its JSON, one value or a list of lines."""
    monkeypatch.setenv("TWINS_KAFKA_BOOTSTRAP", shop.kafka_bootstrap)
    monkeypatch.setenv("TWINS_TOPIC_PREFIX", shop.topic_prefix)
    monkeypatch.setenv("TWINS_MODELS_URL", shop.models)

    def run(command: str, *arguments: object) -> Any:
        words = ["adapters", command, *map(str, arguments), "--json"]
        done = CliRunner().invoke(cli.build(["adapters"]), words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return (
            [json.loads(line) for line in done.stdout.splitlines()]
            if command == "list"
            else json.loads(done.stdout)
        )

    return run
