"""Text for continued pre-training (LBM): what customers bought in words, and the catalogue; nothing retrieved.

A text is one trip after another of one customer, as a person would tell it, so that a model learns which products go
together and come again. Full loss on every token; texts are packed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainer.training.runs import CHECKPOINTS, Run, RunError
from twin_store.messages.codec import instant_of
from twin_store.prompts.escaping import quoted

if TYPE_CHECKING:
    from trainer.tasks.history import History

TRIPS_A_TEXT = 8
ITEMS_A_TRIP = 20


@dataclass(frozen=True)
class CptPace:
    """How a model reads. See TRL's `SFTConfig` for the names."""

    steps: int = 0
    batch: int = 16
    rate: float = 1e-3
    length: int = 256
    seed: int = 1
    devices: str = "cpu"
    bf16: bool = False


def histories(history: History, names: Mapping[str, str], before: int) -> Iterator[str]:
    """Trips of each customer in words, a text every `TRIPS_A_TEXT` of them, up to an epoch second."""
    trips = (
        history.lines.filter(
            (pl.col("kind") == "sale") & pl.col("sku").is_not_null() & (pl.col("second") < before)
        )
        .group_by("customer_id", "transaction_id", maintain_order=True)
        .agg(pl.col("second").first(), pl.col("sku").unique().sort())
        .sort("customer_id", "second", maintain_order=True)
    )
    customer: str | None = None
    told: list[str] = []
    for row in trips.iter_rows(named=True):
        if row["customer_id"] != customer or len(told) == TRIPS_A_TEXT:
            if told:
                yield "\n".join(told)
            customer, told = row["customer_id"], []
        items = ", ".join(quoted(names.get(sku, sku)) for sku in row["sku"][:ITEMS_A_TRIP])
        told.append(f"On {instant_of(row['second']).date().isoformat()} she bought {items}.")
    if told:
        yield "\n".join(told)


def catalogue_texts(history: History) -> Iterator[str]:
    """A line a product: its name, section, type and brand."""
    wanted = [name for name in ("name", "section", "item_type", "brand") if name in history.catalogue.columns]
    for row in history.catalogue.select(wanted).unique(maintain_order=True).iter_rows():
        said = [quoted(part) for part in row if part]
        if said:
            yield f"A product of the shop: {', '.join(said)}."


def corpus(history: History, names: Mapping[str, str], before: int, seed: int) -> list[str]:
    """Histories and catalogue, mixed."""
    texts = [*histories(history, names, before), *catalogue_texts(history)]
    return [texts[place] for place in np.random.default_rng([seed, 13]).permutation(len(texts))]


def train_cpt(
    model: Any,
    base: Path,
    texts: Sequence[str],
    pace: CptPace,
    run_folder: Path,
    say: Callable[[str], None] = lambda _: None,
) -> Any:
    """Have a model read texts; returns the model, changed in place.

    Raises:
        RunError: there are none, or `run_folder` holds another run.
    """
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from trainer.training.sft import quiet, text_sha256

    if not texts:
        raise RunError("there is no text to read")
    run = Run.begun(run_folder, {"stage": "cpt"} | asdict(pace), text_sha256(texts))
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(run_folder / CHECKPOINTS),
            max_steps=pace.steps,
            per_device_train_batch_size=pace.batch,
            learning_rate=pace.rate,
            lr_scheduler_type="cosine",
            warmup_steps=min(20, pace.steps),
            packing=True,
            max_length=pace.length,
            dataset_text_field="text",
            gradient_checkpointing=False,
            use_cpu=pace.devices == "cpu",
            bf16=pace.bf16,
            seed=pace.seed,
            data_seed=pace.seed,
            save_strategy="no",
            logging_steps=1,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict({"text": list(texts)}),
        processing_class=AutoTokenizer.from_pretrained(base),
    )
    quiet(trainer)
    trainer.train()
    run.forget_after(0)
    for line in trainer.state.log_history:
        if "loss" in line:
            run.note(int(line["step"]), loss=round(float(line["loss"]), 5))
    say(f"CPT: {pace.steps} steps, loss {run.last_loss():.3f}")
    return trainer.model
