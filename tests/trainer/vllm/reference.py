"""What `transformers` says on the same weights, prompt by prompt: the truth that the engine is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.trainer.vllm.made_adapters import Made
from trainer.base_model import BaseModel
from trainer.deciders.language.readout import Scored, YesNo, among, yes_no
from trainer.deciders.vllm.tokens import ModelTokens


class Reference:
    """A base, and whatever adapter is merged into its weights for the time of a question."""

    def __init__(self, base: BaseModel, tokens: ModelTokens) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        self._torch = torch
        self._model: Any = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32).eval()
        self._tokens = tokens

    def yes_no(self, prompts: Sequence[Sequence[int]], made: Made | None = None) -> list[YesNo]:
        """Answers to prompts, each alone in its batch."""
        return [yes_no(said, self._tokens.yes, self._tokens.no) for said in self._said(prompts, made)]

    def options(self, prompts: Sequence[Sequence[int]], count: int, made: Made | None = None) -> list[Scored]:
        """The first letters as answers."""
        letters = [(token,) for token in self._tokens.letters[:count]]
        return [among(said, letters) for said in self._said(prompts, made)]

    def _said(self, prompts: Sequence[Sequence[int]], made: Made | None) -> list[dict[int, float]]:
        with self._torch.inference_mode():
            self._merge(made, 1.0)
            try:
                return [self._first(prompt) for prompt in prompts]
            finally:
                self._merge(made, -1.0)

    def _first(self, prompt: Sequence[int]) -> dict[int, float]:
        logits = self._model(self._torch.tensor([list(prompt)])).logits[0, -1]
        return dict(enumerate(self._torch.log_softmax(logits.double(), -1).tolist()))

    def _merge(self, made: Made | None, sign: float) -> None:
        for module, (a, b) in made.weights.items() if made else ():
            weight = self._model.get_submodule(module).weight
            change = (np.asarray(b, np.float32) @ np.asarray(a, np.float32)) * np.float32(sign)
            weight += self._torch.from_numpy(change)
