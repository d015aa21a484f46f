"""An `Inference` without a model: answers by the adapter's number, counts, and checks what it is asked for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from trainer.deciders.vllm.errors import AdapterError, PromptError, Reason
from trainer.deciders.vllm.inference import LoadedAdapter, TextWish

YES, NO = 101, 102
LETTERS = tuple(range(201, 211))  # ten, as in a model with few
NO_TOKEN = 999


class ScriptedInference:
    """P(YES) is `p_yes` of the adapter's name, 0.5 for the base; each answer takes a turn of the loop.

    It fails the test if it is asked for an adapter that is not loaded, or given more adapters than fit.
    """

    tokens_max = 100
    is_up = True

    def __init__(self, capacity: int = 4) -> None:
        self.p_yes: dict[str, float] = {}
        self.texts: list[str] = []
        self.refuses: set[str] = set()
        self.open = asyncio.Event()  # answers wait for it
        self.open.set()
        self.asked: list[tuple[str | None, int]] = []
        self.wishes: list[TextWish] = []
        self.running = self.running_most = 0
        self._capacity = capacity
        self._loaded: dict[int, str] = {}
        self._seen: set[int] = set()

    async def first_token(
        self,
        prompt_ids: Sequence[int],
        token_ids: Sequence[int],
        adapter: LoadedAdapter | None,
        priority: int,
    ) -> dict[int, float]:
        await self._answering(prompt_ids, adapter, priority)
        p = self.p_yes.get(adapter.name, 0.5) if adapter else 0.5
        letters = {token: math.log(0.1 * (place + 1) / 55) for place, token in enumerate(LETTERS)}
        known = {YES: math.log(p * 0.9), NO: math.log((1 - p) * 0.9), **letters}
        return {token: known[token] for token in token_ids}

    async def text(
        self, prompt_ids: Sequence[int], wish: TextWish, adapter: LoadedAdapter | None, priority: int
    ) -> str:
        await self._answering(prompt_ids, adapter, priority)
        self.wishes.append(wish)
        return self.texts.pop(0)

    async def load(self, adapter: LoadedAdapter) -> None:
        await asyncio.sleep(0)
        if adapter.name in self.refuses:
            raise AdapterError(Reason.ENGINE, "as scripted")
        assert adapter.number not in self._seen or adapter.number not in self._loaded
        self._seen.add(adapter.number)
        self._loaded[adapter.number] = adapter.name
        assert len(self._loaded) <= self._capacity

    async def unload(self, adapter: LoadedAdapter) -> None:
        await asyncio.sleep(0)
        assert not any(name == adapter.name for name, _ in self._at)
        del self._loaded[adapter.number]

    async def loaded(self) -> set[int]:
        return set(self._loaded)

    async def forget_prefixes(self) -> None:
        await asyncio.sleep(0)

    def stop(self) -> None:
        self._loaded = {}

    @property
    def _at(self) -> list[tuple[str | None, int]]:
        return self.asked[len(self.asked) - self.running :]

    async def _answering(
        self, prompt_ids: Sequence[int], adapter: LoadedAdapter | None, priority: int
    ) -> None:
        if NO_TOKEN in prompt_ids:
            raise PromptError("there is no such token")
        if adapter is not None:
            assert self._loaded.get(adapter.number) == adapter.name
        self.asked.append((adapter.name if adapter else None, priority))
        self.running += 1
        self.running_most = max(self.running_most, self.running)
        try:
            await self.open.wait()
            await asyncio.sleep(0)
            if adapter is not None:
                assert self._loaded.get(adapter.number) == adapter.name
        finally:
            self.running -= 1
