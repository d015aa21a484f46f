"""A small base learns to decide, from nothing, on a CPU: its first token against what a teacher and the truth say.

Only two places of a text are learnt: the answer after the prompt, and the end after the answer. Without the second a
model never ends its turn, and whoever samples from it later is given nothing but texts that were cut.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.chat_format import IM_END
from trainer.training.encoded import NOTHING, Encoded, padded
from trainer.training.runs import Run, order_of, order_sha
from twin_store.prompts import Buckets

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

PARAMETER, FIRST, SECOND = "parameter.", "first.", "second."
BETAS, EPSILON = (0.9, 0.98), 1e-8
SAY_EVERY = 50


@dataclass(frozen=True)
class Pace:
    """How a model is trained.

    Attributes:
        steps: of the optimiser.
        batch: examples a step.
        rate: the highest learning rate; it rises over `warmup` steps and then falls to nothing as a cosine does.
        end_weight: of the loss on the end of the turn.
        keep_every: steps between checkpoints; 0 keeps none.
    """

    steps: int
    batch: int = 96
    rate: float = 3e-3
    warmup: int = 50
    weight_decay: float = 0.01
    end_weight: float = 0.1
    clip: float = 1.0
    keep_every: int = 200
    seed: int = 1


def train_base(
    folder: Path, data: Encoded, pace: Pace, run_folder: Path, say: Callable[[str], None] = lambda _: None
) -> dict[str, float]:
    """Train the model in a folder and write it back. Goes on where a run in `run_folder` was cut off.

    Returns:
        `steps`, `seconds` and `loss`, the mean of the last tenth of the steps.

    Raises:
        RunError: `run_folder` holds another run, or a broken one.
    """
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(pace.seed)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    run = Run.begun(run_folder, {"stage": "base"} | asdict(pace), data.sha256())
    learner = Learner(model, pace, eos_of(folder))
    done, tensors = run.resumed()
    if done:
        learner.restore(tensors, done)
        say(f"going on after step {done}")
    began = time.monotonic()
    for step in range(done, pace.steps):
        rows = order_of(step, pace.batch, len(data), pace.seed)
        loss = learner.step(data, rows, step)
        run.note(step + 1, loss=round(loss, 5), rows=order_sha(rows))
        if pace.keep_every and (step + 1) % pace.keep_every == 0 and step + 1 < pace.steps:
            run.keep(step + 1, learner.tensors())
        if (step + 1) % SAY_EVERY == 0:
            rate = (step + 1 - done) * pace.batch / (time.monotonic() - began)
            say(f"step {step + 1} of {pace.steps}, loss {loss:.4f}, {rate:.0f} cases/s")
    model.save_pretrained(folder)
    return {"steps": pace.steps, "seconds": time.monotonic() - began, "loss": run.last_loss()}


class Learner:
    """A model with its optimiser. One step follows from the state and the rows alone."""

    def __init__(self, model: PreTrainedModel, pace: Pace, eos: int) -> None:
        import torch

        self._model = model.train()
        self._pace = pace
        self._eos = eos
        self._named = dict(model.named_parameters())
        matrices = [p for p in self._named.values() if p.ndim > 1]
        others = [p for p in self._named.values() if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": pace.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=pace.rate, betas=BETAS, eps=EPSILON)

    def step(self, data: Encoded, rows: np.ndarray, step: int) -> float:
        """One step on these examples; returns its loss."""
        import torch

        for group in self._optimiser.param_groups:
            group["lr"] = self._pace.rate * rate_share(step, self._pace)
        loss = self._loss(data, rows)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._pace.clip)
        self._optimiser.step()
        return float(loss.detach())

    def tensors(self) -> dict[str, torch.Tensor]:
        """All state, by name."""
        found = {}
        for name, parameter in self._named.items():
            state: dict[str, Any] = self._optimiser.state[parameter]
            found[PARAMETER + name] = parameter.detach().contiguous()
            found[FIRST + name] = state["exp_avg"].contiguous()
            found[SECOND + name] = state["exp_avg_sq"].contiguous()
        return found

    def restore(self, tensors: dict[str, torch.Tensor], steps: int) -> None:
        """Take up the state that stood after so many steps. Raises `KeyError` if it is of another model."""
        import torch

        with torch.no_grad():
            for name, parameter in self._named.items():
                parameter.copy_(tensors[PARAMETER + name])
                self._optimiser.state[parameter] = {
                    "step": torch.tensor(float(steps)),
                    "exp_avg": tensors[FIRST + name].clone(),
                    "exp_avg_sq": tensors[SECOND + name].clone(),
                }

    def _loss(self, data: Encoded, rows: np.ndarray) -> torch.Tensor:
        import torch

        right = data.answers[rows, data.right[rows]]
        texts = [np.append(data.prompt(row), answer) for row, answer in zip(rows, right, strict=True)]
        ids, last = padded(texts)
        states = self._model.model(input_ids=ids, use_cache=False).last_hidden_state
        every = torch.arange(len(rows))
        picked = torch.cat((states[every, last - 1], states[every, last]))
        logs = torch.log_softmax(self._model.lm_head(picked), dim=-1)
        said, ended = logs[: len(rows)], logs[len(rows) :, self._eos]
        answers = torch.from_numpy(np.where(data.answers[rows] == NOTHING, 0, data.answers[rows]))
        shares = torch.from_numpy(data.shares[rows])
        weights = torch.from_numpy(data.weights[rows])
        wrong = -(shares * said.gather(1, answers)).sum(dim=1)
        return (weights * wrong).sum() / weights.sum() - self._pace.end_weight * ended.mean()


def rate_share(step: int, pace: Pace) -> float:
    """The share of the highest learning rate at a step."""
    if step < pace.warmup:
        return (step + 1) / pace.warmup
    through = (step - pace.warmup) / max(1, pace.steps - pace.warmup)
    return 0.5 * (1 + math.cos(math.pi * through))


def lay_out_ladders(folder: Path, buckets: Buckets, seed: int) -> int:
    """Have the tokens of each number's lines begin along a line, in the order of its buckets; returns how many.

    Sixteen buckets of one number are one quantity: so much a model need not find out from scratch.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    table = model.get_input_embeddings().weight
    dice = torch.Generator().manual_seed(seed)
    placed = 0
    with torch.no_grad():
        spread = table.std()
        for ladder in buckets.ladders():
            *steps, unknown = tokenizer.convert_tokens_to_ids([f"{line}\n" for line in ladder])
            middle, along = torch.randn(2, table.shape[1], generator=dice) * spread
            for place, token in enumerate(steps):
                table[token] = middle + (2 * place / max(1, len(steps) - 1) - 1) * along
            table[unknown] = middle
            placed += len(ladder)
    model.save_pretrained(folder)
    return placed


def eos_of(folder: Path) -> int:
    """The id of the end of a turn for the model in a folder."""
    from transformers import AutoTokenizer

    return int(AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(IM_END))
