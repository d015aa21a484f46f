"""The engine as a `LanguageModel`: prompts as text, and failures by the names that the language decider knows."""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from trainer.deciders.language.model import (
    AdapterMissing,
    MalformedAnswer,
    ModelUnavailable,
    QuestionRejected,
)
from trainer.deciders.language.readout import Scored, YesNo
from trainer.deciders.vllm.engine import VllmEngine
from trainer.deciders.vllm.errors import (
    AdapterError,
    EngineDownError,
    MalformedAnswerError,
    PromptError,
    UnknownAdapterError,
)
from trainer.deciders.vllm.inference import TextWish

REMEMBERED = 1_024  # prompts between counting their tokens and asking; 4 bytes a token


class VllmModel:
    """See `LanguageModel`. Tokens may be counted on any thread, all else is for the engine's loop."""

    def __init__(self, engine: VllmEngine) -> None:
        self._engine = engine
        self._ids = lru_cache(REMEMBERED)(lambda text: array("i", engine.tokens.encode(text)))

    @property
    def tokens_max(self) -> int:
        """See `LanguageModel`."""
        return self._engine.tokens_max

    def count_tokens(self, text: str) -> int:
        """See `LanguageModel`."""
        return len(self._ids(text))

    async def p_yes(self, prompt: str, adapter: str | None, priority: int) -> YesNo:
        """See `LanguageModel`."""
        with _named():
            return await self._engine.p_yes(self._ids(prompt), adapter, priority)

    async def options(self, prompt: str, count: int, adapter: str | None, priority: int) -> Scored:
        """See `LanguageModel`."""
        with _named():
            return await self._engine.options(self._ids(prompt), count, adapter, priority)

    async def choice(self, prompt: str, choices: Sequence[str], adapter: str | None, priority: int) -> str:
        """See `LanguageModel`."""
        with _named():
            return await self._engine.choice(self._ids(prompt), choices, adapter, priority)

    async def text(self, prompt: str, tokens_max: int, adapter: str | None, priority: int) -> str:
        """See `LanguageModel`."""
        with _named():
            return await self._engine.text(self._ids(prompt), TextWish(tokens_max), adapter, priority)


@contextmanager
def _named() -> Iterator[None]:
    """The engine's failures as the decider's."""
    try:
        yield
    except EngineDownError as error:
        raise ModelUnavailable(str(error)) from error
    except (UnknownAdapterError, AdapterError) as error:
        raise AdapterMissing(str(error)) from error
    except PromptError as error:
        raise QuestionRejected(str(error)) from error
    except MalformedAnswerError as error:
        raise MalformedAnswer(str(error)) from error
