"""GRPO over an adapter by TRL, kept short: answers are sampled and rewarded, and the better ones made likelier.

A reward for being right is linear in P(YES), so its optimum is 0 or 1 and calibration pays for every step. Training
therefore looks at held-out cases now and then, keeps the adapter with the least Brier score there, and stops when the
calibration error leaves its bound. `scale_rewards` is `batch` or `none`: TRL's default divides by the spread within
a prompt's group and so takes every weight out that is the same within one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trainer.evaluation import brier, ece
from trainer.training.encoded import Encoded
from trainer.training.examples import Example
from trainer.training.questions import Asked
from trainer.training.rewards.answers import NO_WEIGHT
from trainer.training.rewards.stages import Stage, rewards_of
from trainer.training.runs import Run, RunError, newest_checkpoint, order_of, trl_arguments
from trainer.training.scoring import answer_shares
from trainer.training.sft import quiet, sha256_of
from twin_store.evidence import EVIDENCE_NAMES
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import as_dicts

if TYPE_CHECKING:
    from torch import Tensor

COMPLETION_TOKENS = 4  # an answer and its end; there is room to see that something else is being said


@dataclass(frozen=True)
class GrpoPace:
    """How an adapter is trained by reward. See TRL's `GRPOConfig` for the names.

    Attributes:
        prompts: a step; each is answered `answers` times.
        look_every: steps between looks at the held-out cases.
        ece_max: with more the training stops.
    """

    steps: int = 40
    prompts: int = 8
    answers: int = 8
    rate: float = 2e-4
    temperature: float = 1.0
    stage: Stage = "v1"
    scale_rewards: Literal["batch", "none"] = "batch"
    no_weight: float = NO_WEIGHT
    look_every: int = 10
    ece_max: float = 0.03
    keep_every: int = 20
    seed: int = 1
    devices: str = "cpu"
    bf16: bool = False


def rows_of(examples: Sequence[Example], asked: Mapping[QuestionKind, Asked]) -> list[dict[str, Any]]:
    """The data set of GRPO: prompts, and the columns that rewards read.

    Args:
        asked: by question kind, what the examples' rows are rows of.
    """
    rows = []
    for each in examples:
        names = EVIDENCE_NAMES[each.kind]
        evidence = asked[each.kind].table.evidence[list(each.rows)]
        deal = float(evidence[0, names.index("deal_share")]) if "deal_share" in names else np.nan
        shared = (
            evidence[:, names.index("basket_affinity")] if "basket_affinity" in names else evidence[:0, 0]
        )
        has_letters = len(each.rows) > 1
        rows.append(
            {
                "prompt": as_dicts(each.messages),
                "kind": each.kind,
                "right": each.right,
                "options": len(each.answers) if has_letters else 0,
                "deal_share": None if np.isnan(deal) else deal,
                "shared": np.nan_to_num(shared.astype(np.float64)).tolist(),
            }
        )
    return rows


def train_grpo(
    model: Any,
    base: Path,
    examples: Sequence[Example],
    asked: Mapping[QuestionKind, Asked],
    held_out: Encoded,
    pace: GrpoPace,
    run_folder: Path,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Go on training an adapter, a `PeftModel` that is changed in place, by reward.

    Returns:
        `looks`, the measures at each look with their step, and `kept`, the step whose adapter was kept; 0 is what it
        was before.

    Raises:
        RunError: there is nothing to learn from, or `run_folder` holds another run.
    """
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    if not examples:
        raise RunError("there is no example to train on")
    run = Run.begun(run_folder, {"stage": f"grpo-{pace.stage}"} | asdict(pace), sha256_of(examples))
    rewards, weights = rewards_of(pace.stage, pace.no_weight)
    order = [
        row for step in range(pace.steps) for row in order_of(step, pace.prompts, len(examples), pace.seed)
    ]
    watch = Watch(model, held_out, pace)
    checkpoint = newest_checkpoint(run_folder)
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=list(rewards),
        args=GRPOConfig(
            **trl_arguments(run_folder, pace.steps, pace.seed, pace.devices, pace.bf16, pace.keep_every),
            per_device_train_batch_size=pace.prompts * pace.answers,
            num_generations=pace.answers,
            max_completion_length=COMPLETION_TOKENS,
            temperature=pace.temperature,
            learning_rate=pace.rate,
            lr_scheduler_type="constant",
            scale_rewards=pace.scale_rewards,
            reward_weights=weights,
            logging_steps=1,
        ),
        train_dataset=Dataset.from_list(rows_of(examples, asked)).select(order),
        processing_class=AutoTokenizer.from_pretrained(base, padding_side="left"),
        callbacks=[watch.callback(run, say)],
    )
    quiet(trainer)
    run.forget_after(0 if checkpoint is None else checkpoint[0])
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint[1]))
    watch.restore()
    say(f"GRPO {pace.stage}: kept the adapter of step {watch.kept} of {watch.steps}")
    return {"looks": watch.looks, "kept": watch.kept}


class Watch:
    """Looks at held-out cases while training goes on, and keeps the adapter that answered them best.

    Attributes:
        looks: `step`, `brier` and `ece` of each look, the first before any step.
        kept: the step of the adapter that is kept.
        steps: how many were done.
    """

    def __init__(self, model: Any, held_out: Encoded, pace: GrpoPace) -> None:
        self.looks: list[dict[str, float]] = []
        self.kept = 0
        self.steps = 0
        self._model = model
        self._held_out = held_out
        self._pace = pace
        self._best: dict[str, Tensor] = {}
        self.look(0)

    def look(self, step: int) -> bool:
        """Measure what the model says now; whether its calibration is within the bound."""
        truths, said = yes_truths(self._held_out, answer_shares(self._model, self._held_out))
        found = {"step": float(step), "brier": brier(truths, said), "ece": ece(truths, said)}
        within = found["ece"] <= max(self._pace.ece_max, self.looks[0]["ece"] if self.looks else 0.0)
        if not self.looks or (within and found["brier"] < min(look["brier"] for look in self.looks)):
            self.kept = step
            self._best = {
                name: parameter.detach().clone()
                for name, parameter in self._model.named_parameters()
                if parameter.requires_grad
            }
        self.looks.append(found)
        return within

    def restore(self) -> None:
        """Give the model the adapter that is kept."""
        import torch

        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                if name in self._best:
                    parameter.copy_(self._best[name])

    def callback(self, run: Run, say: Callable[[str], None]) -> Any:
        """For a trainer of TRL: look now and then, note rewards, stop when the bound is left."""
        from transformers import TrainerCallback

        watch = self

        class Looking(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
                watch.steps = state.global_step
                if state.global_step % watch._pace.look_every and state.global_step != state.max_steps:
                    return control
                within = watch.look(state.global_step)
                last = watch.looks[-1]
                say(f"GRPO step {state.global_step}: Brier {last['brier']:.4f}, ECE {last['ece']:.4f}")
                control.should_training_stop = control.should_training_stop or not within
                return control

            def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
                wanted = ("reward", "loss", "frac_reward_zero_std", "completions/clipped_ratio")
                found = {name: logs[name] for name in wanted if logs and name in logs}
                if "reward" in found:
                    run.note(state.global_step, **({"loss": 0.0} | found))

        return Looking()


def yes_truths(data: Encoded, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truths and probabilities, a row an answer that may be true: YES alone, or every option."""
    options = (data.answers >= 0).sum(axis=1)
    is_pair = options == 2
    truths = [(data.right[is_pair] == 0).astype(np.int64)]
    said = [shares[is_pair, 0]]
    for row in np.flatnonzero(~is_pair).tolist():
        truths.append((np.arange(options[row]) == data.right[row]).astype(np.int64))
        said.append(shares[row, : options[row]])
    return np.concatenate(truths), np.concatenate(said)
