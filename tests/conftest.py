"""What every test can ask for: the real broker, and settings of its own on it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import DevBroker, free_port
from streams.settings import ENV_PREFIX, Settings
from tests.trainer.vllm.engine_slot import EngineSlot


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> Iterator[None]:
    """Tests see the defaults, whatever deployment the shell they run in is set up for."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevBroker]:
    """One real Kafka broker for the whole run. Tests that stop or kill a broker start their own."""
    broker = DevBroker(tmp_path_factory.mktemp("broker"), free_port())
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def engine_slot() -> EngineSlot:
    """Holds the engine of the run, once a test has started one."""
    return EngineSlot()


@pytest.fixture
def offline_settings(tmp_path: Path) -> Settings:
    """Settings of a deployment of this test alone that needs no broker, its endpoints off."""
    prefix = f"t{uuid.uuid4().hex[:10]}."
    return Settings(topic_prefix=prefix, data_dir=tmp_path / "data", currency="USD", metrics_port=0)


@pytest.fixture
def settings(broker: DevBroker, offline_settings: Settings) -> Settings:
    """Settings of a deployment of this test alone: own topics, groups and folder on the shared broker."""
    return offline_settings.model_copy(update={"kafka_bootstrap": broker.bootstrap})
