"""A deployment with a worker on the real engine, shared by the tests that need one: each start takes half a minute."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from streams.broker import DevBroker
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.worker import process as worker
from tests.streams.running import eventually, running
from tests.trainer.small_town import Town
from tests.trainer.vllm.engine_slot import RunningEngine
from tests.trainer.vllm.town import make_town_base, settle_town
from trainer.base_model import BaseModel
from trainer.deciders.vllm.settings import EngineSettings
from trainer.deciders.vllm.thread import EngineThread

ENGINE_START_S = 400.0
PATIENCE_S = 300.0  # for what takes seconds where nothing else runs
CUSTOMERS = 12
DAYS = 120
UP = "twins_worker_model_up"


@dataclass(frozen=True)
class EngineTown:
    """The deployment, with its worker running.

    Attributes:
        last: the last second of each customer's receipts.
        may_start: engines start while it is set; so a test says for how long there is none.
    """

    settings: Settings
    base: BaseModel
    last: dict[str, int]
    telemetry: Telemetry
    may_start: threading.Event

    def is_up(self) -> bool:
        """Whether the engine answers, as the worker says."""
        return self.telemetry.snapshot().get(UP) == 1

    def wait_until_up(self) -> None:
        """Let it start, if it does not run already, and wait."""
        self.may_start.set()
        eventually(self.is_up, "the engine", ENGINE_START_S)


@contextmanager
def working_town(broker: DevBroker, folder: Path, first: RunningEngine | None) -> Iterator[EngineTown]:
    """The town's receipts are folded, and a worker runs, whose engine has yet to start.

    `first`, if there is one, is the engine that the worker gets at its first start: one that was started in the same
    way, with the same settings. The next one the worker starts itself.
    """
    base = first.thread.engine.base if first is not None else make_town_base(folder / "town")
    settings = Settings(
        kafka_bootstrap=broker.bootstrap,
        topic_prefix="engine-town.",
        data_dir=folder / "data",
        partitions=2,
        worker_hold_ms=300,
        metrics_port=0,
        decider="vllm",
        vllm_model=base.folder,
        vllm_rank_max=8,
        vllm_adapters_in_batch=4,
        vllm_adapters_in_memory=6,
        vllm_cache_mib=256,
        vllm_threads=1,  # others may be at work
        vllm_eager=True,
        vllm_dtype="float32",
        worker_in_flight_max=64,
        worker_busy_ms=600_000,
        worker_soft_deadline_ms=600_000,
        worker_words_ms=2_000,  # nobody is there for surveys and reviews until the test lets one start
    )
    last = settle_town(settings, Town(customers=CUSTOMERS, days=DAYS))
    town = EngineTown(settings, base, last, Telemetry("worker", settings), threading.Event())
    start, at_hand = EngineThread.start, [first] if first is not None else []

    def start_when_it_may(wanted: EngineSettings) -> EngineThread:
        town.may_start.wait()
        if not at_hand:
            return start(wanted)
        given = at_hand.pop()
        assert given.settings == replace(wanted, adapter_copies=given.settings.adapter_copies)
        return given.thread

    def run(stop: threading.Event) -> None:
        worker.run(settings, stop, "0", town.telemetry)

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # torch and vLLM warn of each other
        patch.setattr(EngineThread, "start", start_when_it_may)
        with running(run):
            try:
                yield town
            finally:
                town.may_start.set()
