"""`LanguageModel` over HTTP: rendered prompts to a completions API, probabilities and texts back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from trainer.deciders.language.breaker import CircuitBreaker
from trainer.deciders.language.model import (
    AdapterMissing,
    MalformedAnswer,
    ModelUnavailable,
    QuestionRejected,
)
from trainer.deciders.language.readout import Scored, YesNo, among
from trainer.deciders.openai.completion import read_first_token, read_text, read_tokens
from trainer.deciders.openai.first_token import weigh
from trainer.deciders.openai.server import Server
from trainer.deciders.openai.settings import OpenAISettings
from trainer.deciders.openai.tokens import token_counter
from twin_store.prompts.answers import LETTERS, NO, YES

TRIES = 2
RETRY_TEMPERATURE = 0.7  # the most likely answer was malformed; the same way it would be again
ID_MARK = "token_id:"  # how vLLM writes a token that it is told to name by its id


@dataclass
class Counts:
    """What happened since the start. `unlisted` counts answers in which an option was not among the listed tokens, so
    that it was bounded; `doubt_max` is the most that a probability may have been off by it.
    """

    asked: int = 0
    malformed: int = 0
    unusable: int = 0
    unlisted: int = 0
    doubt_max: float = 0.0


class OpenAIModel:
    """See `LanguageModel`. To be made, used and closed on one event loop."""

    def __init__(self, settings: OpenAISettings) -> None:
        """Reaches out to nobody yet. Raises `ValueError` if a file of the settings cannot be read."""
        self.counts = Counts()
        self._settings = settings
        self._server = Server(settings)
        self._count = token_counter(settings.tokenizer)
        self._ids: dict[str, int] = {}
        self._api = settings.url.rstrip("/")
        self._root = self._api.removesuffix("/v1")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Questions that are on them fail."""
        await self._server.close()

    @property
    def breaker(self) -> CircuitBreaker:
        """Whether the server is asked at all now."""
        return self._server.breaker

    @property
    def tokens_max(self) -> int:
        """See `LanguageModel`."""
        return self._settings.tokens_max

    def count_tokens(self, text: str) -> int:
        """See `LanguageModel`."""
        return self._count(text)

    async def p_yes(self, prompt: str, adapter: str | None, priority: int) -> YesNo:
        """See `LanguageModel`."""
        scored = await self._first_token(prompt, (YES, NO), adapter, priority)
        return YesNo(scored.probabilities[0], scored.joint_mass)

    @property
    def tells_by_ids(self) -> bool:
        """Whether the server takes prompts as token ids and tells of tokens by theirs, as vLLM does."""
        return self._settings.dialect == "vllm"

    async def p_yes_of_ids(self, prompt_ids: Sequence[int], adapter: str | None, priority: int) -> YesNo:
        """`p_yes` of a prompt that is tokens already; only where the server `tells_by_ids`."""
        wish: dict[str, Any] = {"max_tokens": 1, "temperature": 0.0, "logprobs": self._settings.logprobs}
        scored = await self._exactly(list(prompt_ids), (YES, NO), wish, adapter, priority)
        return YesNo(scored.probabilities[0], scored.joint_mass)

    async def options(self, prompt: str, count: int, adapter: str | None, priority: int) -> Scored:
        """See `LanguageModel`. Raises also `ValueError` for more options than there are letters."""
        if not 2 <= count <= len(LETTERS):
            raise ValueError(f"{count} options; there are letters for 2 to {len(LETTERS)}")
        return await self._first_token(prompt, tuple(LETTERS[:count]), adapter, priority)

    async def choice(self, prompt: str, choices: Sequence[str], adapter: str | None, priority: int) -> str:
        """See `LanguageModel`. What the server makes is held against the choices, whether or not it constrains."""
        if not choices:
            raise ValueError("there is nothing to choose from")
        # A token is at least one byte, so an answer that keeps to the form is never cut off.
        wish: dict[str, Any] = {"max_tokens": max(len(each.encode()) for each in choices) + 1}
        if self._settings.dialect == "vllm":
            wish["structured_outputs"] = {"choice": list(choices)}
        else:
            wish["stop"] = ["\n"]
        for attempt in range(TRIES):
            wish |= {"temperature": RETRY_TEMPERATURE if attempt else 0.0, "seed": attempt}
            answer = read_text(await self._complete(prompt, wish, adapter, priority)).strip()
            for each in choices:
                if answer == each.strip():
                    return each
            self.counts.malformed += 1
        self.counts.unusable += 1
        raise MalformedAnswer(f"asked {TRIES} times, and it was none of the {len(choices)} choices")

    async def text(self, prompt: str, tokens_max: int, adapter: str | None, priority: int) -> str:
        """See `LanguageModel`."""
        wish = {"max_tokens": tokens_max, "temperature": 0.0}
        return read_text(await self._complete(prompt, wish, adapter, priority))

    async def _first_token(
        self, prompt: str, options: Sequence[str], adapter: str | None, priority: int
    ) -> Scored:
        wish: dict[str, Any] = {"max_tokens": 1, "temperature": 0.0, "logprobs": self._settings.logprobs}
        if self._settings.dialect == "vllm":
            return await self._exactly(prompt, options, wish, adapter, priority)
        top = read_first_token(await self._complete(prompt, wish, adapter, priority))
        weighed = weigh(top, [(option,) for option in options])
        self.counts.unlisted += any(option not in top for option in options)
        self.counts.doubt_max = max(self.counts.doubt_max, weighed.doubt)
        return weighed.scored

    async def _exactly(
        self,
        prompt: str | list[int],
        options: Sequence[str],
        wish: dict[str, Any],
        adapter: str | None,
        priority: int,
    ) -> Scored:
        """vLLM tells the log probability of any token that is asked for by its id."""
        ids = await self._token_ids(options, priority)
        wish |= {"logprob_token_ids": ids, "return_tokens_as_token_ids": True}
        told = read_first_token(await self._complete(prompt, wish, adapter, priority))
        try:
            logprobs = {each: told[f"{ID_MARK}{each}"] for each in ids}
        except KeyError:
            raise ModelUnavailable("the server does not tell of the tokens it was asked for") from None
        return among(logprobs, [(each,) for each in ids])

    async def _token_ids(self, texts: Sequence[str], priority: int) -> list[int]:
        """The one token of each text; asked once for each text."""
        unknown = [text for text in texts if text not in self._ids]
        found = await asyncio.gather(*(self._token_id(text, priority) for text in unknown))
        self._ids |= dict(zip(unknown, found, strict=True))
        return [self._ids[text] for text in texts]

    async def _token_id(self, text: str, priority: int) -> int:
        question = {"model": self._settings.model, "prompt": text, "add_special_tokens": False}
        ids = read_tokens(await self._server.post(f"{self._root}/tokenize", question, priority))
        if len(ids) != 1:
            raise ModelUnavailable(f"{text!r} is {len(ids)} tokens for this model, and must be one")
        return ids[0]

    async def _complete(
        self, prompt: str | list[int], wish: Mapping[str, Any], adapter: str | None, priority: int
    ) -> Any:
        if not prompt:
            raise QuestionRejected("the prompt is empty")
        question = {
            "model": adapter or self._settings.model,
            "prompt": prompt,
            "n": 1,
            "stream": False,
            **wish,
        }
        if self._settings.dialect == "vllm":
            question["add_special_tokens"] = False  # the prompt has them, and no others
        if self._settings.priorities:
            question["priority"] = -priority  # vLLM has the smallest go first
        self.counts.asked += 1
        try:
            return await self._server.post(f"{self._api}/completions", question, priority)
        except AdapterMissing:
            if adapter is None:
                raise ModelUnavailable(
                    f"the server has no model of the name {self._settings.model}"
                ) from None
            raise
