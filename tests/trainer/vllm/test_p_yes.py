"""P(YES) is what `transformers` says on the same weights: with and without adapters, alone and in mixed batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.vllm.made_adapters import Made, random_adapter
from tests.trainer.vllm.reference import Reference
from tests.trainer.vllm.shop_model import prompts
from trainer.base_model import BaseModel
from trainer.deciders.language.readout import YesNo
from trainer.deciders.vllm.thread import EngineThread
from trainer.deciders.vllm.tokens import ModelTokens

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
TOLERANCE = 0.02
ALONE = 15


def ask(
    engine: EngineThread, asked: Sequence[tuple[Sequence[int], str | None]], together: bool
) -> list[YesNo]:
    """Answers in order, the questions all at once or one after the other."""

    async def asking() -> list[YesNo]:
        if together:
            return list(await asyncio.gather(*(engine.engine.p_yes(ids, name) for ids, name in asked)))
        return [await engine.engine.p_yes(ids, name) for ids, name in asked]

    return engine.run(asking())


def furthest(answers: Sequence[YesNo], truths: Sequence[YesNo]) -> float:
    """The greatest difference in P(YES); the masses must be the same to a hundredth of themselves."""
    for answer, truth in zip(answers, truths, strict=True):
        assert answer.joint_mass == pytest.approx(truth.joint_mass, rel=0.01)
    return max(abs(answer.p_yes - truth.p_yes) for answer, truth in zip(answers, truths, strict=True))


@pytest.mark.parametrize("count", [120, pytest.param(500, marks=pytest.mark.long)])
def test_p_yes_is_what_transformers_says(
    engine: EngineThread,
    reference: Reference,
    shop_base: BaseModel,
    tokens: ModelTokens,
    models: Path,
    expecting: Callable[[Made], Made],
    count: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pool = prompts(tokens, count, seed=11)
    adapters: dict[str | None, Made | None] = {None: None}
    for segment, rank in (("families", 8), ("students", 4)):
        made = expecting(random_adapter(shop_base, rank, 0.1, seed=rank))
        folder = made.publish(models, segment, shop_base)
        adapters[engine.run(engine.engine.add_adapter(folder)).name] = made
    truths = {name: reference.yes_no(pool, made) for name, made in adapters.items()}
    for name in [name for name in adapters if name]:  # an adapter that changes nothing would prove nothing
        shifts = [abs(x.p_yes - y.p_yes) for x, y in zip(truths[name], truths[None], strict=True)]
        assert np.mean(shifts) > 0.05

    found = dict[str, float]()
    for name in adapters:
        alone = [(ids, name) for ids in pool[:ALONE]]
        found[f"{name} alone"] = furthest(ask(engine, alone, together=False), truths[name][:ALONE])
        together = [(ids, name) for ids in pool]
        found[f"{name} in batches"] = furthest(ask(engine, together, together=True), truths[name])
    mixed = [(ids, name) for ids in pool for name in adapters]
    expected = [truths[name][place] for place in range(count) for name in adapters]
    found["mixed"] = furthest(ask(engine, mixed, together=True), expected)
    with capsys.disabled():
        said = ", ".join(f"{way} {distance:.7f}" for way, distance in found.items())
        print(f"\n{count} prompts, P(YES) furthest from that of transformers: {said}")
    assert max(found.values()) < TOLERANCE, found
    for name in [name for name in adapters if name]:
        engine.run(engine.engine.remove_adapter(name))
