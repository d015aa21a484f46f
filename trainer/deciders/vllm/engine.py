"""The engine: questions as token ids in, probabilities and texts out, with adapters that come and go meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from trainer.base_model import BaseModel
from trainer.deciders.language.readout import Scored, YesNo, among, yes_no
from trainer.deciders.vllm.adapters import Adapter, check_adapter, checked_copy
from trainer.deciders.vllm.async_vllm import AsyncVllm
from trainer.deciders.vllm.canaries import Canaries
from trainer.deciders.vllm.errors import AdapterError, MalformedAnswerError, PromptError, Reason
from trainer.deciders.vllm.inference import Inference, LoadedAdapter, TextWish
from trainer.deciders.vllm.residents import Resident, Residents
from trainer.deciders.vllm.settings import EngineSettings
from trainer.deciders.vllm.tokens import ModelTokens

TRIES = 2
RETRY_TEMPERATURE = 0.7  # the most likely answer was malformed; the same way it would be again
USUAL_PRIORITY, FIRST_PRIORITY = 5, 9  # as queries have them: the greater goes first


@dataclass
class EngineCounts:
    """What happened since the start. `asked` counts canaries too, `malformed` answers that did not keep to their form,
    `unusable` questions that got no other.
    """

    asked: int = 0
    malformed: int = 0
    unusable: int = 0
    refused: dict[Reason, int] = field(default_factory=dict)


class VllmEngine:
    """A base model with adapters. To be made and used on one event loop.

    Questions name an adapter or None for the base. Greater priorities go first among those in the engine. A question
    that is cancelled is taken back from the engine, so a deadline is an `asyncio.timeout` around it.
    """

    def __init__(
        self, settings: EngineSettings, base: BaseModel, tokens: ModelTokens, inference: Inference
    ) -> None:
        self.base = base
        self.tokens = tokens
        self.counts = EngineCounts()
        self._yes_no_ids = (*tokens.yes, *tokens.no)
        self._settings = settings
        self._inference = inference
        self._room = asyncio.Semaphore(settings.in_flight_max)
        self._adding = asyncio.Lock()
        self._residents = Residents(settings.adapters_in_memory, inference.load, inference.unload)

    @classmethod
    def start(cls, settings: EngineSettings) -> Self:
        """Start the model of the settings; the loop stands still meanwhile.

        Raises:
            BaseModelError: there is no usable model in the folder.
            VllmError: vLLM is not installed, or does not start.
        """
        base = BaseModel.read(settings.model)
        tokens = ModelTokens.of(settings.model)
        return cls(settings, base, tokens, AsyncVllm.start(settings))

    @property
    def tokens_max(self) -> int:
        """The most tokens of prompt and answer together."""
        return self._inference.tokens_max

    @property
    def is_up(self) -> bool:
        """Whether the model's process lives. Once it has died it stays so."""
        return self._inference.is_up

    def stop(self) -> None:
        """End the model's process. Questions that are at it fail."""
        self._inference.stop()

    async def p_yes(
        self, prompt_ids: Sequence[int], adapter: str | None = None, priority: int = USUAL_PRIORITY
    ) -> YesNo:
        """P(YES) of a prompt whose answer is YES or NO, from the first token's mass.

        Raises:
            PromptError: the prompt is empty, too long, or has ids that are no tokens.
            UnknownAdapterError: there is no such adapter.
            EngineDownError: the engine has died.
        """
        logprobs = await self._first_token(prompt_ids, self._yes_no_ids, self._named(adapter), priority)
        return yes_no(logprobs, self.tokens.yes, self.tokens.no)

    async def options(
        self,
        prompt_ids: Sequence[int],
        count: int,
        adapter: str | None = None,
        priority: int = USUAL_PRIORITY,
    ) -> Scored:
        """The probabilities of the first `count` letters as the answer. Raises as `p_yes`, and `ValueError`."""
        if not 2 <= count <= len(self.tokens.letters):
            raise ValueError(f"{count} options; there are letters for 2 to {len(self.tokens.letters)}")
        wanted = self.tokens.letters[:count]
        logprobs = await self._first_token(prompt_ids, wanted, self._named(adapter), priority)
        return among(logprobs, [(token,) for token in wanted])

    async def text(
        self,
        prompt_ids: Sequence[int],
        wish: TextWish,
        adapter: str | None = None,
        priority: int = USUAL_PRIORITY,
    ) -> str:
        """Free text. Raises as `p_yes`."""
        async with self._asking(prompt_ids, wish.tokens_max, self._named(adapter)) as at:
            return await self._inference.text(prompt_ids, wish, at, priority)

    async def choice(
        self,
        prompt_ids: Sequence[int],
        choices: Sequence[str],
        adapter: str | None = None,
        priority: int = USUAL_PRIORITY,
    ) -> str:
        """One of these texts, by constrained generation. Raises as `p_yes`, and `MalformedAnswerError`."""
        # A token is at least one byte, so an answer that keeps to the form is never cut off.
        tokens_max = max(len(each.encode()) for each in choices) + 1

        async def ask(attempt: int) -> str:
            temperature = RETRY_TEMPERATURE if attempt else 0.0
            wish = TextWish(tokens_max, temperature, seed=attempt, choices=tuple(choices))
            return await self.text(prompt_ids, wish, adapter, priority)

        return await self._well_formed(ask, lambda answer: answer in choices)

    async def add_adapter(self, folder: Path, sha256: str | None = None) -> Adapter:
        """Check an adapter's files, load it beside the others, and hear whether it says what it should.

        Nothing is routed to it before all that. `sha256` is its manifest's, if a release says it.

        Raises:
            AdapterError: it is refused and not loaded; everything else goes on.
            EngineDownError: the engine has died.
        """
        async with self._adding:
            try:
                adapter = await asyncio.to_thread(self._checked, folder, sha256)
                if not self._residents.knows(adapter):
                    await self._try_out(adapter)
            except AdapterError as error:
                self.counts.refused[error.reason] = self.counts.refused.get(error.reason, 0) + 1
                raise
        return adapter

    async def remove_adapter(self, name: str) -> None:
        """Unload an adapter once the questions at it are answered. Raises `UnknownAdapterError`."""
        await self._residents.dismiss(self._residents.find(name))

    async def pin_adapter(self, name: str) -> None:
        """Keep an adapter in memory. Raises `UnknownAdapterError`, `ValueError` if too many are pinned."""
        await self._residents.pin(name)

    def unpin_adapter(self, name: str) -> None:
        """Let it leave memory again. Raises `UnknownAdapterError`."""
        self._residents.unpin(name)

    async def forget_prefixes(self) -> None:
        """Empty the prefix cache, so that what is measured next begins as a new engine does. Ask nothing meanwhile."""
        await self._inference.forget_prefixes()

    def adapters(self) -> list[str]:
        """The names of those that questions may name, in order of arrival."""
        return self._residents.names

    def adapters_in_memory(self) -> list[str]:
        """Those of them that need not be loaded first."""
        return self._residents.in_memory

    def _named(self, adapter: str | None) -> Resident | None:
        return None if adapter is None else self._residents.find(adapter)

    async def _first_token(
        self, prompt_ids: Sequence[int], wanted: Sequence[int], adapter: Resident | None, priority: int
    ) -> dict[int, float]:
        async with self._asking(prompt_ids, 1, adapter) as at:
            return await self._inference.first_token(prompt_ids, wanted, at, priority)

    @asynccontextmanager
    async def _asking(
        self, prompt_ids: Sequence[int], answer_tokens: int, adapter: Resident | None
    ) -> AsyncIterator[LoadedAdapter | None]:
        """Room for one question, with its adapter in memory."""
        if not prompt_ids:
            raise PromptError("the prompt is empty")
        if len(prompt_ids) + answer_tokens > self._inference.tokens_max:
            raise PromptError(
                f"{len(prompt_ids)} tokens of prompt and {answer_tokens} of answer are more than "
                f"{self._inference.tokens_max}"
            )
        async with self._room:
            self.counts.asked += 1
            if adapter is None:
                yield None
                return
            async with self._residents.holding(adapter) as at:
                yield at

    async def _well_formed(self, ask: Callable[[int], Awaitable[str]], accept: Callable[[str], bool]) -> str:
        answer = ""
        for attempt in range(TRIES):
            answer = await ask(attempt)
            if accept(answer):
                return answer
            self.counts.malformed += 1
        self.counts.unusable += 1
        raise MalformedAnswerError(f"asked {TRIES} times; the last answer was {answer[:100]!r}")

    def _checked(self, folder: Path, sha256: str | None) -> Adapter:
        bounds = self._settings.rank_max, self._settings.target_modules

        def check(copy: Path) -> Adapter:
            return check_adapter(copy, self.base, *bounds, sha256)

        return checked_copy(folder, self._settings.adapter_copies, check)

    async def _try_out(self, adapter: Adapter) -> None:
        """Load it, put its canaries to it and to the base, and let questions name it; or unload it again."""
        resident = await self._residents.load(adapter)
        try:
            if adapter.canaries.blind(await self._answers(adapter.canaries, None)):
                raise AdapterError(Reason.CANARIES, "the base itself answers all its canaries as it should")
            wrong = adapter.canaries.contradicted(await self._answers(adapter.canaries, resident))
            if wrong is not None:
                raise AdapterError(Reason.CANARY, wrong)
        except PromptError as error:
            await self._residents.dismiss(resident)
            raise AdapterError(Reason.CANARIES, str(error)) from None
        except BaseException:
            await self._residents.dismiss(resident)
            raise
        self._residents.admit(resident)

    async def _answers(self, canaries: Canaries, adapter: Resident | None) -> list[float]:
        asked = [
            self._first_token(canary.prompt_ids, self._yes_no_ids, adapter, FIRST_PRIORITY)
            for canary in canaries.prompts
        ]
        said = await asyncio.gather(*asked)
        return [yes_no(logprobs, self.tokens.yes, self.tokens.no).p_yes for logprobs in said]
