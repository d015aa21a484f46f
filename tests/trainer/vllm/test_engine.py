"""The engine over a scripted model: bounds, retries, refusals. With a real one it is tested beside this."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.trainer.vllm.bad_adapters import spoilt
from tests.trainer.vllm.made_adapters import random_adapter, stub_base
from tests.trainer.vllm.scripted_inference import LETTERS, NO, NO_TOKEN, YES, ScriptedInference
from trainer.base_model import BaseModel
from trainer.deciders.vllm.canaries import Canaries, Canary
from trainer.deciders.vllm.engine import VllmEngine
from trainer.deciders.vllm.errors import (
    AdapterError,
    MalformedAnswerError,
    PromptError,
    Reason,
    UnknownAdapterError,
)
from trainer.deciders.vllm.inference import TextWish
from trainer.deciders.vllm.settings import EngineSettings
from trainer.deciders.vllm.tokens import ModelTokens

Story = Callable[[VllmEngine, ScriptedInference], Awaitable[None]]
TOKENS = ModelTokens(tokenizer=None, yes=(YES,), no=(NO,), letters=LETTERS)  # type: ignore[arg-type]


@pytest.fixture
def base(tmp_path: Path) -> BaseModel:
    return stub_base(tmp_path / "stub")


@pytest.fixture
def tell(base: BaseModel, tmp_path: Path) -> Callable[[Story], None]:
    """Runs a story with an engine of its own."""

    async def told(story: Story) -> None:
        model = ScriptedInference()
        settings = EngineSettings(
            base.folder, tmp_path / "copies", adapters_in_batch=2, adapters_in_memory=4, in_flight_max=3
        )
        await asyncio.wait_for(story(VllmEngine(settings, base, TOKENS, model), model), 20)

    return lambda story: asyncio.run(told(story))


@pytest.fixture
def publish(base: BaseModel, tmp_path: Path) -> Callable[[str, float], Path]:
    """The folder of a segment's adapter, whose canary expects a P(YES)."""

    def published(segment: str, p_yes: float) -> Path:
        made = random_adapter(base, 4, 0.1, seed=1)
        made.canaries = Canaries((Canary((1, 2), p_yes),))
        return made.publish(tmp_path / "models", segment, base)

    return published


def test_answers_are_read_from_the_first_token(tell: Callable[[Story], None]) -> None:
    async def story(engine: VllmEngine, model: ScriptedInference) -> None:
        answer = await engine.p_yes([1, 2, 3], priority=7)
        assert (answer.p_yes, answer.joint_mass) == (pytest.approx(0.5), pytest.approx(0.9))
        scored = await engine.options([1, 2, 3], 3)
        assert scored.probabilities == pytest.approx((1 / 6, 2 / 6, 3 / 6))
        assert model.asked == [(None, 7), (None, 5)]
        for count in (1, 11):
            with pytest.raises(ValueError, match="options"):
                await engine.options([1], count)

    tell(story)


def test_no_more_than_the_bound_are_in_the_engine(tell: Callable[[Story], None]) -> None:
    async def story(engine: VllmEngine, model: ScriptedInference) -> None:
        await asyncio.gather(*(engine.p_yes([1]) for _ in range(50)))
        assert model.running_most == 3
        assert engine.counts.asked == 50

    tell(story)


def test_one_who_gives_up_frees_the_place(tell: Callable[[Story], None]) -> None:
    async def story(engine: VllmEngine, model: ScriptedInference) -> None:
        model.open.clear()
        for _ in range(10):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await engine.p_yes([1])
        model.open.set()
        await asyncio.gather(*(engine.p_yes([1]) for _ in range(10)))

    tell(story)


@pytest.mark.parametrize("prompt", [[], [1] * 100, [NO_TOKEN]])
def test_a_prompt_that_cannot_be_read_is_named(tell: Callable[[Story], None], prompt: list[int]) -> None:
    async def story(engine: VllmEngine, model: ScriptedInference) -> None:
        with pytest.raises(PromptError):
            await engine.p_yes(prompt)
        with pytest.raises(PromptError):
            await engine.text([1] * 90, TextWish(11))
        await engine.p_yes([1] * 99)

    tell(story)


def test_a_malformed_choice_is_tried_once_more_and_counted(tell: Callable[[Story], None]) -> None:
    async def story(engine: VllmEngine, model: ScriptedInference) -> None:
        model.texts = ["milk", "mi", "bread"]
        assert await engine.choice([1], ["milk", "bread"]) == "milk"
        assert await engine.choice([1], ["milk", "bread"]) == "bread"
        assert (engine.counts.malformed, engine.counts.unusable) == (1, 0)
        first, retry = model.wishes[1:]
        assert first.choices == retry.choices == ("milk", "bread")
        assert first.tokens_max == retry.tokens_max == 6
        assert (first.temperature, retry.temperature) == (0.0, 0.7)

    tell(story)


def test_twice_malformed_is_no_answer(tell: Callable[[Story], None]) -> None:
    async def story(engine: VllmEngine, model: ScriptedInference) -> None:
        model.texts = ["mi", "br", "milk"]
        with pytest.raises(MalformedAnswerError, match="'br'"):
            await engine.choice([1], ["milk", "bread"])
        assert (engine.counts.malformed, engine.counts.unusable) == (2, 1)

    tell(story)


def test_an_adapter_is_named_only_once_its_canaries_have_sung(
    tell: Callable[[Story], None], publish: Callable[[str, float], Path]
) -> None:
    async def story(engine: VllmEngine, model: ScriptedInference) -> None:
        folder = publish("families", 0.8)
        name = f"vllm/families/{folder.name}"
        model.p_yes[name] = 0.81
        model.open.clear()
        adding = asyncio.create_task(engine.add_adapter(folder))
        while not model.asked:
            await asyncio.sleep(0.001)
        assert engine.adapters() == []
        with pytest.raises(UnknownAdapterError):
            await engine.p_yes([1], name)
        model.open.set()
        adapter = await adding
        assert adapter.name == name
        assert engine.adapters() == engine.adapters_in_memory() == [name]
        assert (await engine.p_yes([1], name)).p_yes == pytest.approx(0.81)
        assert await engine.add_adapter(folder) == adapter
        await engine.remove_adapter(name)
        assert engine.adapters() == []
        assert await model.loaded() == set()

    tell(story)


def test_an_adapter_that_does_not_answer_as_expected_is_unloaded(
    tell: Callable[[Story], None], publish: Callable[[str, float], Path]
) -> None:
    async def story(engine: VllmEngine, model: ScriptedInference) -> None:
        folder = publish("families", 0.8)
        with pytest.raises(AdapterError, match=r"canary 0 should give 0\.8000 and gives 0\.5000") as refused:
            await engine.add_adapter(folder)
        assert refused.value.reason == Reason.CANARY
        assert (engine.adapters(), await model.loaded()) == ([], set())
        model.p_yes[f"vllm/families/{folder.name}"] = 0.8
        await engine.add_adapter(folder)

    tell(story)


def test_canaries_that_the_base_passes_prove_nothing(
    tell: Callable[[Story], None], publish: Callable[[str, float], Path]
) -> None:
    async def story(engine: VllmEngine, model: ScriptedInference) -> None:
        with pytest.raises(AdapterError) as refused:
            await engine.add_adapter(publish("families", 0.51))
        assert refused.value.reason == Reason.CANARIES
        assert await model.loaded() == set()

    tell(story)


def test_refusals_are_counted_and_the_champion_stays(
    tell: Callable[[Story], None], publish: Callable[[str, float], Path], tmp_path: Path
) -> None:
    async def story(engine: VllmEngine, model: ScriptedInference) -> None:
        folder = publish("families", 0.8)
        model.p_yes[f"vllm/families/{folder.name}"] = 0.8
        champion = await engine.add_adapter(folder)
        for bad in ("a file changed", "DoRA", "a pickle", "a pickle by another name"):
            with pytest.raises(AdapterError):
                await engine.add_adapter(spoilt(publish(bad.replace(" ", "-"), 0.8), tmp_path, bad))
        with pytest.raises(AdapterError, match="the release says"):
            await engine.add_adapter(folder, sha256="00")
        assert engine.counts.refused == {Reason.HASH: 2, Reason.DORA: 1, Reason.FILES: 2}
        assert (await engine.p_yes([1], champion.name)).p_yes == pytest.approx(0.8)
        assert champion.folder.is_dir()

    tell(story)


def test_pinned_adapters_stay_in_memory(
    tell: Callable[[Story], None], publish: Callable[[str, float], Path]
) -> None:
    async def story(engine: VllmEngine, model: ScriptedInference) -> None:
        names = []
        for number in range(6):
            folder = publish(f"segment-{number}", 0.8)
            model.p_yes[f"vllm/segment-{number}/{folder.name}"] = 0.8
            names.append((await engine.add_adapter(folder)).name)
        await engine.pin_adapter(names[0])
        await asyncio.gather(*(engine.p_yes([1], name) for name in names * 5))
        assert names[0] in engine.adapters_in_memory()
        assert len(engine.adapters_in_memory()) == 4
        engine.unpin_adapter(names[0])
        await asyncio.gather(*(engine.p_yes([1], name) for name in names[2:] * 5))
        assert names[0] not in engine.adapters_in_memory()

    tell(story)
