"""What a model in this process answers: probabilities of each answer of encoded prompts, from the first token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainer.deciders.vllm.tokens import ModelTokens
from trainer.training.encoded import NOTHING, Encoded, padded

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH = 128


def answer_shares(model: PreTrainedModel, data: Encoded) -> np.ndarray:
    """Probabilities among the answers of each prompt: float64 [n, ANSWERS_MAX], 0 where there is no answer."""
    found = np.zeros(data.answers.shape)
    order = np.argsort(data.lengths, kind="stable")
    for begin in range(0, len(order), BATCH):
        rows = order[begin : begin + BATCH]
        logs = first_token_logs(model, [data.prompt(row) for row in rows])
        answers = data.answers[rows]
        scores = np.take_along_axis(logs, np.maximum(answers, 0), axis=1)
        scores[answers == NOTHING] = -np.inf
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        found[rows] = powers / powers.sum(axis=1, keepdims=True)
    return found


def p_yes(model: PreTrainedModel, data: Encoded, tokens: ModelTokens) -> np.ndarray:
    """P(YES) among YES and NO of each prompt, whatever it asks for: float64 [n]."""
    found = []
    for begin in range(0, len(data), BATCH):
        prompts = [data.prompt(row) for row in range(begin, min(begin + BATCH, len(data)))]
        logs = first_token_logs(model, prompts)
        found.append(1 / (1 + np.exp(logs[:, tokens.no[0]] - logs[:, tokens.yes[0]])))
    return np.concatenate(found)


def first_token_logs(model: PreTrainedModel, prompts: Sequence[np.ndarray]) -> np.ndarray:
    """Log probabilities of the token after each prompt: float64 [n, vocabulary]."""
    import torch

    was_training = model.training
    model.eval()
    ids, last = padded(prompts)
    with torch.no_grad():
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        device = next(model.parameters()).device
        states = inner.model(input_ids=ids.to(device), use_cache=False).last_hidden_state
        picked = states[torch.arange(len(prompts)), last]
        logs = torch.log_softmax(inner.lm_head(picked).double(), dim=-1)
    model.train(was_training)
    return np.asarray(logs.cpu().numpy())
