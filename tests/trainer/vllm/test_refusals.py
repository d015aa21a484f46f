"""A bad adapter is refused with its reason, whatever is wrong with it, and the engine goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.vllm.bad_adapters import BAD, spoilt
from tests.trainer.vllm.made_adapters import Made, random_adapter
from tests.trainer.vllm.shop_model import prompts
from trainer.base_model import BaseModel
from trainer.deciders.vllm.canaries import Canaries
from trainer.deciders.vllm.errors import AdapterError, Reason
from trainer.deciders.vllm.thread import EngineThread
from trainer.deciders.vllm.tokens import ModelTokens

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def made(shop_base: BaseModel, expecting: Callable[[Made], Made]) -> Made:
    """A good adapter with its canaries."""
    return expecting(random_adapter(shop_base, 4, 0.1, seed=31))


def test_every_bad_adapter_is_refused_and_the_engine_goes_on(
    engine: EngineThread, made: Made, shop_base: BaseModel, models: Path, tmp_path: Path, tokens: ModelTokens
) -> None:
    at = engine.engine
    good = made.publish(models, "refusals", shop_base)
    (prompt,) = prompts(tokens, 1, seed=32)
    before = engine.run(at.p_yes(prompt))
    for name, (_, reason) in BAD.items():
        with pytest.raises(AdapterError) as refused:
            engine.run(at.add_adapter(spoilt(good, tmp_path, name)))
        assert (name, refused.value.reason) == (name, reason)
    assert at.adapters() == []
    assert engine.run(at.p_yes(prompt)) == before
    adapter = engine.run(at.add_adapter(good))
    assert engine.run(at.p_yes(prompt, adapter.name)).p_yes != pytest.approx(before.p_yes, abs=0.01)
    engine.run(at.remove_adapter(adapter.name))


def test_one_that_does_not_say_what_its_trainer_heard_is_unloaded(
    engine: EngineThread, made: Made, shop_base: BaseModel, models: Path
) -> None:
    at = engine.engine
    heard = made.canaries.prompts
    misheard = replace(
        made, canaries=Canaries((heard[0], replace(heard[1], p_yes=1 - heard[1].p_yes + 0.03)))
    )
    with pytest.raises(AdapterError, match="canary 1 should give") as refused:
        engine.run(at.add_adapter(misheard.publish(models, "misheard", shop_base)))
    assert refused.value.reason == Reason.CANARY
    assert at.adapters() == []


def test_weights_of_nothing_are_seen_by_the_canaries(
    engine: EngineThread, made: Made, shop_base: BaseModel, models: Path
) -> None:
    """What vLLM makes of weights that it leaves out: the base's answers."""
    nothing = replace(made, weights={module: (a * 0, b) for module, (a, b) in made.weights.items()})
    with pytest.raises(AdapterError) as refused:
        engine.run(engine.engine.add_adapter(nothing.publish(models, "nothing", shop_base)))
    assert refused.value.reason == Reason.CANARY


def test_files_that_vanish_after_loading_cost_their_own_questions_only(
    engine: EngineThread, made: Made, shop_base: BaseModel, models: Path, tokens: ModelTokens
) -> None:
    at = engine.engine
    (prompt,) = prompts(tokens, 1, seed=33)
    adapters = [
        engine.run(at.add_adapter(made.publish(models, f"crowd-{number}", shop_base))) for number in range(7)
    ]
    (lost,) = set(at.adapters()) - set(at.adapters_in_memory())
    folder = next(each.folder for each in adapters if each.name == lost)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(AdapterError) as refused:
        engine.run(at.p_yes(prompt, lost))
    assert refused.value.reason == Reason.ENGINE
    others = [each.name for each in adapters if each.name != lost]
    assert len({round(engine.run(at.p_yes(prompt, name)).p_yes, 5) for name in others}) == 1
    for adapter in adapters:
        engine.run(at.remove_adapter(adapter.name))
