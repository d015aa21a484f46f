"""A model's tokens: prompts as ids, and the ids of answers that are read from the first token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from trainer.base_model import TOKENIZER, BaseModelError
from trainer.chat_format import LETTERS, NO_TOKEN, YES_TOKEN

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class ModelTokens:
    """The tokenizer of a model with what the engine needs of it. YES and NO may have several spellings."""

    tokenizer: Tokenizer
    yes: tuple[int, ...]
    no: tuple[int, ...]
    letters: tuple[int, ...]

    @classmethod
    def of(cls, model: Path) -> Self:
        """Those of the model in a folder.

        Raises:
            BaseModelError: an answer is more than one token there.
            ImportError: `tokenizers` is not installed.
        """
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(model / TOKENIZER))

        def only(text: str) -> int:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            if len(ids) != 1:
                raise BaseModelError(
                    f"{text!r} is {len(ids)} tokens for the model in {model}, and must be one"
                )
            return int(ids[0])

        return cls(
            tokenizer, (only(YES_TOKEN),), (only(NO_TOKEN),), tuple(only(letter) for letter in LETTERS)
        )

    def encode(self, prompt: str) -> list[int]:
        """The ids of a rendered prompt, with its control tokens as such and none added."""
        return list(self.tokenizer.encode(prompt, add_special_tokens=False).ids)
