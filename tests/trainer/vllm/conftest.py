"""One engine for all the tests that need one, and what they compare it with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.vllm.engine_slot import EngineSlot, RunningEngine
from tests.trainer.vllm.made_adapters import Made, random_adapter
from tests.trainer.vllm.reference import Reference
from tests.trainer.vllm.served import ADAPTER, KEY, Served, VllmServer
from tests.trainer.vllm.shop_model import prompts
from tests.trainer.vllm.town import make_town_base
from trainer.base_model import BaseModel
from trainer.deciders.vllm.canaries import Canaries, Canary
from trainer.deciders.vllm.settings import EngineSettings
from trainer.deciders.vllm.thread import EngineThread
from trainer.deciders.vllm.tokens import ModelTokens

CANARY_PROMPTS = 3


@pytest.fixture(scope="session")
def shop_base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    """A small base that can be run, the one of the town too."""
    return make_town_base(tmp_path_factory.mktemp("bases") / "shop")


@pytest.fixture(scope="session")
def tokens(shop_base: BaseModel) -> ModelTokens:
    """Its tokens."""
    return ModelTokens.of(shop_base.folder)


@pytest.fixture(scope="session")
def reference(shop_base: BaseModel, tokens: ModelTokens) -> Reference:
    """What `transformers` makes of it."""
    return Reference(shop_base, tokens)


@pytest.fixture(scope="session")
def settings(shop_base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> EngineSettings:
    """Few places, so that adapters must make room for each other; one thread, since others may be at work.

    As the worker of `engine_town` starts its engine: it goes on with this one.
    """
    return EngineSettings(
        shop_base.folder,
        tmp_path_factory.mktemp("copies"),
        adapters_in_batch=4,
        adapters_in_memory=6,
        rank_max=8,
        eager=True,
        dtype="float32",
        in_flight_max=64,
        cache_mib=256,
        threads=1,
    )


@pytest.fixture(scope="session")
def served(
    shop_base: BaseModel,
    models: Path,
    expecting: Callable[[Made], Made],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """The one server, which is starting."""
    adapter = expecting(random_adapter(shop_base, 8, 0.1, seed=8))
    folder = adapter.publish(models, "served", shop_base)
    log = tmp_path_factory.mktemp("served") / "log"
    with VllmServer(shop_base, {ADAPTER: folder}, KEY, log) as server:
        yield Served(server, adapter, folder)


@pytest.fixture(scope="session")
def engine(
    settings: EngineSettings, engine_slot: EngineSlot, request: pytest.FixtureRequest
) -> Iterator[EngineThread]:
    """The one engine. The server, if a later test needs it, starts beside: both take a minute, mostly one core each."""
    if any("served" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("served")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and vLLM warn of each other
        started = EngineThread.start(settings)
        engine_slot.held = RunningEngine(started, settings)
        yield started
        if engine_slot.take() is not None:
            started.stop()


@pytest.fixture(scope="session")
def expecting(tokens: ModelTokens, reference: Reference) -> Callable[[Made], Made]:
    """Gives an adapter the canaries that its trainer would: what `transformers` hears it say."""
    asked = prompts(tokens, CANARY_PROMPTS, seed=99)

    def with_canaries(made: Made) -> Made:
        heard = reference.yes_no(asked, made)
        canaries = [Canary(tuple(ids), said.p_yes) for ids, said in zip(asked, heard, strict=True)]
        return replace(made, canaries=Canaries(tuple(canaries)))

    return with_canaries


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where adapters are published."""
    return tmp_path_factory.mktemp("models")
