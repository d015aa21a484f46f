"""The one worker with a real engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.broker import DevBroker
from tests.integration.engine_town import EngineTown, working_town
from tests.trainer.vllm.engine_slot import EngineSlot


@pytest.fixture(scope="session")
def engine_town(
    broker: DevBroker, engine_slot: EngineSlot, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineTown]:
    """For all tests that ask for it, in the order of their files."""
    with working_town(broker, tmp_path_factory.mktemp("engine-town"), engine_slot.take()) as town:
        yield town
