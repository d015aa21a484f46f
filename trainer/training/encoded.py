"""Examples as token ids: flat arrays, and padded batches of them for a model on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.deciders.vllm.tokens import ModelTokens
from trainer.training.examples import Example
from twin_store.prompts.answers import LETTERS, NO, YES

if TYPE_CHECKING:
    import torch

ANSWERS_MAX = 6  # options of one prompt that is trained on
NOTHING = -1


class UnfitExampleError(ValueError):
    """An example that no model can be trained on; the message says why."""


@dataclass(frozen=True)
class Encoded:
    """Prompts and their answers as ids.

    Attributes:
        ids: all prompts, one after the other: int32; prompt i is `ids[starts[i]:starts[i + 1]]`.
        answers: int64 [n, ANSWERS_MAX], ids of what may be answered, NOTHING beyond.
        shares: float32 [n, ANSWERS_MAX], see `Example.shares`.
        right: int64 [n], place of the right answer.
        weights: float32 [n].
    """

    ids: np.ndarray
    starts: np.ndarray
    answers: np.ndarray
    shares: np.ndarray
    right: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.right)

    @classmethod
    def of(cls, examples: Iterable[Example], tokens: ModelTokens, tokens_max: int) -> Encoded:
        """Encode examples; they are read once and not kept.

        Raises:
            UnfitExampleError: there is none, or one is longer than the model reads or has too many answers.
        """
        answer_ids = {YES: tokens.yes[0], NO: tokens.no[0]} | dict(zip(LETTERS, tokens.letters, strict=True))
        ids, answers, shares, right, weights = [], [], [], [], []
        for example in examples:
            prompt = np.array(tokens.encode(example.prompt), dtype=np.int32)
            if len(prompt) + 2 > tokens_max:
                raise UnfitExampleError(
                    f"a prompt has {len(prompt)} tokens; the model reads {tokens_max - 2}"
                )
            if len(example.answers) > ANSWERS_MAX:
                raise UnfitExampleError(f"a prompt has {len(example.answers)} options; at most {ANSWERS_MAX}")
            beyond = ANSWERS_MAX - len(example.answers)
            ids.append(prompt)
            answers.append([answer_ids[answer] for answer in example.answers] + [NOTHING] * beyond)
            shares.append([*example.shares, *[0.0] * beyond])
            right.append(example.right)
            weights.append(example.weight)
        if not ids:
            raise UnfitExampleError("there is no example to train on")
        starts = np.concatenate(([0], np.cumsum([len(prompt) for prompt in ids])))
        return cls(
            np.concatenate(ids),
            starts,
            np.array(answers, dtype=np.int64),
            np.array(shares, dtype=np.float32),
            np.array(right, dtype=np.int64),
            np.array(weights, dtype=np.float32),
        )

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each prompt: int64 [n]."""
        return np.diff(self.starts)

    def prompt(self, number: int) -> np.ndarray:
        """The ids of one prompt."""
        return self.ids[self.starts[number] : self.starts[number + 1]]

    def sha256(self) -> str:
        """Of everything that is learnt from."""
        digest = hashlib.sha256()
        for array in (self.ids, self.starts, self.answers, self.shares, self.right, self.weights):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def padded(prompts: Sequence[np.ndarray], after: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts [n, longest + after] padded on the right with zeros, and the place of each one's last token [n].

    A causal model needs no mask for that: what is read stands left of the padding.
    """
    import torch

    lengths = np.array([len(prompt) for prompt in prompts])
    table = np.zeros((len(prompts), int(lengths.max()) + after), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        table[row, : len(prompt)] = prompt
    return torch.from_numpy(table), torch.from_numpy(lengths - 1)
