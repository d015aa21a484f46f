"""Adapters that are known by what they say come and go under load, and every answer is by whom it was asked of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trainer.vllm.made_adapters import Made
from tests.trainer.vllm.shop_model import prompts, speaks_a_letter
from trainer.base_model import BaseModel
from trainer.deciders.vllm.engine import VllmEngine
from trainer.deciders.vllm.thread import EngineThread
from trainer.deciders.vllm.tokens import ModelTokens

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
LETTERS = 8
SURE = 0.95  # of the letter that an adapter speaks; the base has no letter that likely
ASKING = 24


@pytest.fixture(scope="module")
def speakers(
    shop_base: BaseModel, tokens: ModelTokens, models: Path, expecting: Callable[[Made], Made]
) -> list[Path]:
    """A published adapter a letter."""
    made = [expecting(speaks_a_letter(shop_base, tokens, number)) for number in range(LETTERS)]
    return [each.publish(models, f"letter-{number}", shop_base) for number, each in enumerate(made)]


async def spoken(engine: VllmEngine, prompt: list[int], name: str | None) -> int | None:
    """The letter that is answered for sure, None if none is."""
    scored = await engine.options(prompt, LETTERS, name)
    return next((number for number, p in enumerate(scored.probabilities) if p > SURE), None)


def test_eight_adapters_in_mixed_batches_with_room_for_six(
    engine: EngineThread, speakers: list[Path], tokens: ModelTokens
) -> None:
    async def story() -> None:
        at = engine.engine
        names: list[str | None] = [(await at.add_adapter(folder)).name for folder in speakers]
        assert len(at.adapters_in_memory()) == 6
        speaking = [*enumerate(names), (None, None)]
        asked = [(ids, letter, name) for ids in prompts(tokens, 12, seed=21) for letter, name in speaking]
        said = await asyncio.gather(*(spoken(at, ids, name) for ids, _, name in asked))
        assert said == [letter for _, letter, _ in asked]
        for name in at.adapters():
            await at.remove_adapter(name)

    engine.run(story())


@pytest.mark.parametrize("swaps", [20, pytest.param(100, marks=pytest.mark.long)])
def test_twenty_swaps_under_load_misroute_nothing(
    engine: EngineThread, speakers: list[Path], tokens: ModelTokens, swaps: int
) -> None:
    """Four segments are asked all the time, while one after the other gets another adapter."""
    pool = prompts(tokens, 40, seed=22)

    async def story() -> tuple[int, list[tuple[int, int | None]]]:
        at = engine.engine
        letters = [0, 1, 2, 3]
        live = [(await at.add_adapter(speakers[letter])).name for letter in letters]
        over = asyncio.Event()
        answered = 0
        wrong: list[tuple[int, int | None]] = []

        async def ask_on(turn: int) -> None:
            nonlocal answered
            while not over.is_set():
                turn += 1
                segment = turn % 5
                name, letter = (live[segment], letters[segment]) if segment < 4 else (None, None)
                said = await spoken(at, pool[turn % len(pool)], name)
                answered += 1
                if said != letter:
                    wrong.append((turn, said))

        asking = [asyncio.create_task(ask_on(each * 7)) for each in range(ASKING)]
        for swap in range(swaps):
            segment, letter = swap % 4, (swap + 4) % LETTERS
            old, fresh = live[segment], (await at.add_adapter(speakers[letter])).name
            live[segment], letters[segment] = fresh, letter
            await at.remove_adapter(old)
        over.set()
        await asyncio.gather(*asking)
        for name in at.adapters():
            await at.remove_adapter(name)
        return answered, wrong

    answered, wrong = engine.run(story())
    assert wrong == []
    assert answered > 10 * swaps
