"""What the engine asks of whatever runs the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """An adapter under the number that the model knows it by. Numbers count from 1; 0 is the base."""

    name: str
    number: int
    folder: Path


@dataclass(frozen=True, slots=True)
class TextWish:
    """What text to write: at most `tokens_max` tokens, one of `choices` if there are any."""

    tokens_max: int
    temperature: float = 0.0
    seed: int = 0
    choices: tuple[str, ...] = ()


class Inference(Protocol):
    """A model with adapters. A greater `priority` goes first, as in queries. Cancelling a call takes its question
    back.
    """

    @property
    def tokens_max(self) -> int:
        """The most tokens of prompt and answer together."""

    @property
    def is_up(self) -> bool:
        """Whether there still is a model."""

    async def first_token(
        self,
        prompt_ids: Sequence[int],
        token_ids: Sequence[int],
        adapter: LoadedAdapter | None,
        priority: int,
    ) -> dict[int, float]:
        """Natural logarithms of the first token's probabilities, of each of `token_ids` at least.

        Raises:
            PromptError: the prompt cannot be read.
            EngineDownError: there is no model any more.
        """

    async def text(
        self, prompt_ids: Sequence[int], wish: TextWish, adapter: LoadedAdapter | None, priority: int
    ) -> str:
        """The answer's text. Raises as `first_token`."""

    async def load(self, adapter: LoadedAdapter) -> None:
        """Take an adapter into memory. Raises `AdapterError` if it cannot, `EngineDownError`."""

    async def unload(self, adapter: LoadedAdapter) -> None:
        """Take it out again. Raises `EngineDownError`."""

    async def loaded(self) -> set[int]:
        """The numbers of the adapters in memory."""

    async def forget_prefixes(self) -> None:
        """Empty the prefix cache."""

    def stop(self) -> None:
        """End it, with its processes."""
