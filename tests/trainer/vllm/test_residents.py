"""Who is in memory, and that nobody leaves it while asked. The scripted model fails if one does."""

import asyncio
import random
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.vllm.made_adapters import A_CANARY
from tests.trainer.vllm.scripted_inference import NO, YES, ScriptedInference
from trainer.deciders.vllm.adapters import Adapter
from trainer.deciders.vllm.errors import AdapterError, UnknownAdapterError
from trainer.deciders.vllm.residents import Residents

CAPACITY = 3


def adapter(name: str, sha256: str = "a") -> Adapter:
    return Adapter(name, Path(name), sha256, 8, A_CANARY)


class Town:
    """Residents over a scripted model."""

    def __init__(self) -> None:
        self.model = ScriptedInference(CAPACITY)
        self.residents = Residents(CAPACITY, self.model.load, self.model.unload)

    async def settle(self, *names: str) -> None:
        for name in names:
            self.residents.admit(await self.residents.load(adapter(name)))

    async def ask(self, name: str) -> None:
        async with self.residents.holding(self.residents.find(name)) as at:
            assert at.name == name
            await self.model.first_token([1], (YES, NO), at, 5)

    async def remove(self, name: str) -> None:
        await self.residents.dismiss(self.residents.find(name))


def in_town(story: Any) -> None:
    async def told() -> None:
        await asyncio.wait_for(story(Town()), 20)

    asyncio.run(told())


def test_who_was_asked_longest_ago_leaves_and_comes_back() -> None:
    async def story(town: Town) -> None:
        await town.settle("a", "b", "c")
        await town.ask("a")
        await town.ask("c")
        await town.settle("d")
        assert town.residents.in_memory == ["a", "c", "d"]
        await town.ask("b")
        assert town.residents.in_memory == ["b", "c", "d"] or town.residents.in_memory == ["a", "b", "c"]
        assert town.residents.names == ["a", "b", "c", "d"]
        assert len(await town.model.loaded()) == CAPACITY

    in_town(story)


def test_pinned_ones_stay_and_cannot_take_all_the_room() -> None:
    async def story(town: Town) -> None:
        await town.settle("a", "b", "c", "d")
        assert "a" not in town.residents.in_memory
        await town.residents.pin("a")
        await town.residents.pin("b")
        assert set(town.residents.pinned) == {"a", "b"}
        with pytest.raises(ValueError, match="must stay free"):
            await town.residents.pin("c")
        for name in ("c", "d", "c", "d"):
            await town.ask(name)
            assert {"a", "b"} <= set(town.residents.in_memory)
        town.residents.unpin("a")
        await town.ask("c")
        await town.ask("d")
        assert "a" not in town.residents.in_memory

    in_town(story)


def test_removal_waits_for_those_who_are_asking_and_takes_no_more() -> None:
    async def story(town: Town) -> None:
        await town.settle("a")
        town.model.open.clear()
        asking = [asyncio.create_task(town.ask("a")) for _ in range(5)]
        await asyncio.sleep(0.01)
        removing = asyncio.create_task(town.remove("a"))
        await asyncio.sleep(0.01)
        with pytest.raises(UnknownAdapterError):
            await town.ask("a")
        assert not removing.done()
        town.model.open.set()
        await asyncio.gather(*asking, removing)
        assert await town.model.loaded() == set()

    in_town(story)


def test_a_removed_name_may_come_back_with_the_same_content_only() -> None:
    async def story(town: Town) -> None:
        await town.settle("a")
        assert town.residents.knows(adapter("a"))
        await town.remove("a")
        assert not town.residents.knows(adapter("a"))
        with pytest.raises(AdapterError, match="name"):
            town.residents.knows(adapter("a", "b"))
        await town.settle("a")
        await town.ask("a")

    in_town(story)


def test_one_that_cannot_be_loaded_leaves_nothing_behind() -> None:
    async def story(town: Town) -> None:
        await town.settle("a", "b", "c")
        town.model.refuses.add("d")
        with pytest.raises(AdapterError, match="as scripted"):
            await town.settle("d")
        town.model.refuses.clear()
        await town.settle("d")
        for name in "abcd":
            await town.ask(name)

    in_town(story)


def test_who_gives_up_waiting_harms_nobody() -> None:
    async def story(town: Town) -> None:
        await town.settle("a", "b", "c")
        town.model.open.clear()
        busy = [asyncio.create_task(town.ask(name)) for name in "abc"]
        await asyncio.sleep(0.01)
        impatient = asyncio.create_task(town.settle("d"))
        await asyncio.sleep(0.01)
        impatient.cancel()
        town.model.open.set()
        await asyncio.gather(*busy)
        with pytest.raises(asyncio.CancelledError):
            await impatient
        assert len(town.residents.in_memory) >= CAPACITY - 1
        for name in "abc":
            await town.ask(name)
        assert len(await town.model.loaded()) <= CAPACITY

    in_town(story)


@pytest.mark.parametrize("seed", range(5))
def test_a_crowd_with_comings_and_goings(seed: int) -> None:
    """Questions to ten adapters in three places, with removals, returns and people who give up."""

    async def story(town: Town) -> None:
        chance = random.Random(seed)
        names = [f"adapter-{number}" for number in range(10)]
        await town.settle(*names)

        async def one(name: str) -> str:
            try:
                async with asyncio.timeout(None if chance.random() < 0.8 else 0.001):
                    await town.ask(name)
            except UnknownAdapterError:
                return "unknown"
            except TimeoutError:
                return "gave up"
            return "answered"

        async def churn() -> None:
            for _ in range(40):
                name = chance.choice(names)
                await town.remove(name)
                await asyncio.sleep(0)
                await town.settle(name)

        asked: list[Coroutine[Any, Any, str]] = [one(chance.choice(names)) for _ in range(2_000)]
        *outcomes, _ = await asyncio.gather(*asked, churn())
        assert outcomes.count("answered") > 1_000
        for name in names:
            await town.ask(name)
        assert len(await town.model.loaded()) == len(town.residents.in_memory) == CAPACITY

    in_town(story)
