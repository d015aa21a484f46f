"""A `LanguageModel` without a model: what it says follows from the prompt, and it takes its time."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from trainer.deciders.language.model import (
    AdapterMissing,
    LanguageModel,
    MalformedAnswer,
    ModelUnavailable,
    QuestionRejected,
)
from trainer.deciders.language.readout import Scored, YesNo
from twin_store.prompts import prompt_hash

TEXT = "Good value, and the children like it."
T = TypeVar("T")


def said(prompt: str, adapter: str | None) -> random.Random:
    """The dice that the model's answer to a prompt is thrown with: always the same."""
    return random.Random(f"{adapter} {prompt_hash(prompt)}")


class ScriptedModel:
    """See `LanguageModel`. One token is four characters.

    Attributes:
        delay_s: between which bounds an answer takes, by the prompt.
        adapters: those that it has.
        failure: raised by every call, if set.
        malformed: whether choices are.
        asked: every prompt with its adapter and priority, in order.
        taken_back: how many calls were cancelled.
        is_open: answers wait until it is.
    """

    tokens_max = 4_000

    def __init__(self, delay_s: tuple[float, float] = (0.0, 0.0)) -> None:
        self.delay_s = delay_s
        self.adapters: set[str] = set()
        self.failure: Exception | None = None
        self.malformed = False
        self.asked: list[tuple[str, str | None, int]] = []
        self.taken_back = 0
        self.is_open = True

    def count_tokens(self, text: str) -> int:
        return len(text) // 4

    async def p_yes(self, prompt: str, adapter: str | None, priority: int) -> YesNo:
        dice = await self._think(prompt, adapter, priority)
        return YesNo(dice.random(), 0.5 + dice.random() / 2)

    async def options(self, prompt: str, count: int, adapter: str | None, priority: int) -> Scored:
        dice = await self._think(prompt, adapter, priority)
        weights = [0.1 + dice.random() for _ in range(count)]
        return Scored(tuple(weight / sum(weights) for weight in weights), 0.75)

    async def choice(self, prompt: str, choices: Sequence[str], adapter: str | None, priority: int) -> str:
        dice = await self._think(prompt, adapter, priority)
        if self.malformed:
            raise MalformedAnswer("as scripted")
        return dice.choice(choices)

    async def text(self, prompt: str, tokens_max: int, adapter: str | None, priority: int) -> str:
        await self._think(prompt, adapter, priority)
        return "" if self.malformed else TEXT

    async def _think(self, prompt: str, adapter: str | None, priority: int) -> random.Random:
        self.asked.append((prompt, adapter, priority))
        if self.failure is not None:
            raise self.failure
        if adapter is not None and adapter not in self.adapters:
            raise AdapterMissing(f"there is no adapter {adapter}")
        if self.count_tokens(prompt) > self.tokens_max:
            raise QuestionRejected("the prompt is too long")
        dice = said(prompt, adapter)
        try:
            while not self.is_open:
                await asyncio.sleep(0.01)
            await asyncio.sleep(random.Random(prompt).uniform(*self.delay_s))
        except asyncio.CancelledError:
            self.taken_back += 1
            raise
        return dice


class ScriptedHost:
    """See `ModelHost`. `model` may be taken away and brought back."""

    name, version = "vllm", "scripted-1"
    why_away = "the engine is starting"

    def __init__(self, model: LanguageModel | None) -> None:
        self.model = model
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted-model", daemon=True)
        self._thread.start()

    def submit(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        if self.model is None:
            call.close()
            raise ModelUnavailable(self.why_away)
        return asyncio.run_coroutine_threadsafe(call, self._loop)

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """The answer, waited for."""
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(30)

    def close(self) -> None:
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def _cancel_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
