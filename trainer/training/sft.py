"""Supervised fine-tuning of a segment's adapter by TRL and PEFT: LoRA on attention and MLP, the answer's tokens alone.

The order of the examples follows from the seed alone (`order_of`), so a run that was killed goes on with what it would
have seen; what each step really saw is noted beside its loss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.deciders.vllm.settings import ADAPTABLE
from trainer.training.examples import Example
from trainer.training.runs import Run, RunError, newest_checkpoint, order_of, trl_arguments
from twin_store.prompts import as_dicts

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import Tensor

RANK, ALPHA = 8, 16


@dataclass(frozen=True)
class SftPace:
    """How an adapter is fine-tuned. See TRL's `SFTConfig` for the names.

    Attributes:
        devices: `cpu`, or `auto` for what `accelerate` finds.
        bf16: on devices that compute in it.
    """

    steps: int = 300
    batch: int = 64
    rate: float = 5e-4
    warmup: int = 20
    keep_every: int = 100
    seed: int = 1
    devices: str = "cpu"
    bf16: bool = False


def lora() -> LoraConfig:
    """The shape of every adapter (LBM): rank 8, alpha 16, no dropout, attention and MLP."""
    from peft import LoraConfig

    return LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, bias="none", target_modules=list(ADAPTABLE), task_type="CAUSAL_LM"
    )  # fmt: skip


def train_sft(
    base: Path, examples: Sequence[Example], pace: SftPace, run_folder: Path,
    say: Callable[[str], None] = lambda _: None,
) -> Any:  # fmt: skip
    """Train a new adapter over the base in a folder; goes on where a run in `run_folder` was cut off.

    Returns:
        The base with the adapter, a `PeftModel`.

    Raises:
        RunError: there is nothing to learn from, or `run_folder` holds another run or a broken one.
    """
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig

    if not examples:
        raise RunError("there is no example to train on")
    run = Run.begun(run_folder, {"stage": "sft"} | asdict(pace), sha256_of(examples))
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    order = [
        row for step in range(pace.steps) for row in order_of(step, pace.batch, len(examples), pace.seed)
    ]
    data = Dataset.from_list([{"messages": conversation(each)} for each in examples]).select(order)
    checkpoint = newest_checkpoint(run_folder)
    trainer = _trainer_class()(
        model=model,
        args=SFTConfig(
            **trl_arguments(run_folder, pace.steps, pace.seed, pace.devices, pace.bf16, pace.keep_every),
            per_device_train_batch_size=pace.batch,
            learning_rate=pace.rate,
            warmup_steps=pace.warmup,
            lr_scheduler_type="cosine",
            assistant_only_loss=True,  # needs the template's {% generation %} marks
            packing=False,  # decisions of two customers must not see each other
            max_length=None,
            logging_steps=50,
        ),
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=lora(),
    )
    trainer.noted = run
    quiet(trainer)
    run.forget_after(0 if checkpoint is None else checkpoint[0])
    if checkpoint is not None:
        say(f"going on after step {checkpoint[0]}")
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint[1]))
    say(f"{pace.steps} steps of {pace.batch}, loss {run.last_loss():.4f}")
    return trainer.model


def conversation(example: Example) -> list[dict[str, str]]:
    """What TRL is given: the very messages that serving sends, and the answer."""
    return [*as_dicts(example.messages), {"role": "assistant", "content": example.answer}]


def sha256_of(examples: Sequence[Example]) -> str:
    """Of the texts of examples, in their order."""
    digest = hashlib.sha256()
    for each in examples:
        digest.update(f"{each.prompt}\x00{each.answer}\x00".encode())
    return digest.hexdigest()


def quiet(trainer: Any) -> None:
    """Keep a trainer from printing each of its logs: they are kept with the run."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def text_sha256(texts: Sequence[str]) -> str:
    """Of texts in their order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\x00")
    return digest.hexdigest()


def batch_sha(ids: Tensor) -> str:
    """A short hash of what a step saw."""
    return hashlib.sha256(ids.cpu().numpy().tobytes()).hexdigest()[:16]


def _trainer_class() -> Any:
    """TRL's trainer, in the order of the data set, with each step's loss and examples noted."""
    from torch.utils.data import SequentialSampler
    from trl import SFTTrainer

    class NotedTrainer(SFTTrainer):
        noted: Run

        def _get_train_sampler(self, dataset: Any = None) -> SequentialSampler:
            found: Any = self.train_dataset if dataset is None else dataset
            return SequentialSampler(found)

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
            rows = batch_sha(inputs["input_ids"])
            found = super().compute_loss(model, inputs, *args, **options)
            if model.training:
                loss = found[0] if isinstance(found, tuple) else found
                self.noted.note(self.state.global_step + 1, loss=round(float(loss.detach()), 5), rows=rows)
            return found

    return NotedTrainer
