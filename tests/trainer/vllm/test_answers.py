"""What else can be asked of the engine, and how it fails."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.vllm.reference import Reference
from tests.trainer.vllm.shop_model import GOODS, prompts
from trainer.deciders.vllm.errors import EngineDownError, PromptError, UnknownAdapterError
from trainer.deciders.vllm.inference import TextWish
from trainer.deciders.vllm.settings import EngineSettings
from trainer.deciders.vllm.thread import EngineThread
from trainer.deciders.vllm.tokens import ModelTokens

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def prompt(tokens: ModelTokens) -> list[int]:
    return prompts(tokens, 1, seed=41)[0]


def test_options_are_what_transformers_says(
    engine: EngineThread, reference: Reference, tokens: ModelTokens
) -> None:
    pool = prompts(tokens, 20, seed=42)

    async def asking() -> list[tuple[float, ...]]:
        found = await asyncio.gather(*(engine.engine.options(ids, 10) for ids in pool))
        return [each.probabilities for each in found]

    for said, truth in zip(engine.run(asking()), reference.options(pool, 10), strict=True):
        assert said == pytest.approx(truth.probabilities, abs=0.02)
        assert sum(said) == pytest.approx(1.0)


def test_a_choice_keeps_to_the_form(engine: EngineThread, tokens: ModelTokens) -> None:
    async def choosing() -> list[str]:
        pool = prompts(tokens, 8, seed=43)
        return list(await asyncio.gather(*(engine.engine.choice(ids, GOODS) for ids in pool)))

    assert set(engine.run(choosing())) <= set(GOODS)
    assert engine.engine.counts.malformed == 0


def test_free_text_is_the_same_again_at_temperature_0(engine: EngineThread, tokens: ModelTokens) -> None:
    async def writing() -> list[str]:
        pool = prompts(tokens, 8, seed=44)
        return list(await asyncio.gather(*(engine.engine.text(ids, TextWish(12)) for ids in pool)))

    first = engine.run(writing())
    assert any(first)
    assert engine.run(writing()) == first


def test_bad_prompts_and_names_are_named(engine: EngineThread, prompt: list[int]) -> None:
    for bad in ([], [5] * 4_096, [10_000_000], [-1]):
        with pytest.raises(PromptError):
            engine.run(engine.engine.p_yes(bad))
    with pytest.raises(UnknownAdapterError, match="there is no adapter nobody"):
        engine.run(engine.engine.p_yes(prompt, "nobody"))
    assert 0 < engine.run(engine.engine.p_yes(prompt)).p_yes < 1


def test_a_question_past_its_deadline_is_taken_back(engine: EngineThread, prompt: list[int]) -> None:
    async def asking() -> None:
        for _ in range(100):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.002):
                    await engine.engine.text(prompt, TextWish(400))
        async with asyncio.timeout(20):
            await asyncio.gather(*(engine.engine.p_yes(prompt) for _ in range(64)))

    engine.run(asking())


def test_the_urgent_is_answered_before_what_came_first(engine: EngineThread, prompt: list[int]) -> None:
    async def asking() -> list[int]:
        order: list[int] = []

        async def ask(priority: int) -> None:
            await engine.engine.text([*prompt, 7 + len(order)], TextWish(8), priority=priority)
            order.append(priority)

        await asyncio.gather(*(ask(priority) for priority in [1] * 60 + [9] * 4))
        return order

    order = engine.run(asking())
    assert sorted(order) == [1] * 60 + [9] * 4


@pytest.fixture
def own_engine(settings: EngineSettings, tmp_path: Path) -> Iterator[EngineThread]:
    started = EngineThread.start(replace(settings, adapter_copies=tmp_path))
    yield started
    started.stop()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_an_engine_that_was_killed_says_so(own_engine: EngineThread, prompt: list[int]) -> None:
    import os

    import psutil

    engine = own_engine.engine
    assert 0 < own_engine.run(engine.p_yes(prompt)).p_yes < 1
    asked = [own_engine.submit(engine.text(prompt, TextWish(500))) for _ in range(8)]
    newest = max(psutil.Process(os.getpid()).children(recursive=True), key=lambda child: child.create_time())
    newest.send_signal(signal.SIGKILL)
    for each in asked:
        with pytest.raises(EngineDownError):
            each.result(60)
    with pytest.raises(EngineDownError):
        own_engine.run(engine.p_yes(prompt))
