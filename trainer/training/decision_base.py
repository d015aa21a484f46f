"""From a history to a small base that decides: cases, buckets, tokens of whole lines, and the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainer.base_model import BaseModel
from trainer.calibration import Curve, Temperature
from trainer.deciders.language.served import BUCKETS, CALIBRATION, calibration_to_json
from trainer.deciders.vllm.tokens import ModelTokens
from trainer.evaluation import summary
from trainer.tasks.workshop import Workshop
from trainer.tiny_base import SIZES, make_base
from trainer.training.base import lay_out_ladders, train_base
from trainer.training.config import TrainingConfig
from trainer.training.corpus import corpus, train_cpt
from trainer.training.encoded import Encoded
from trainer.training.examples import Example, examples_of
from trainer.training.grpo import yes_truths
from trainer.training.listening import Listener, calibration_of
from trainer.training.material import Parts, by_drawing, gather, tables_of
from trainer.training.questions import Examiner
from trainer.training.runs import RUN
from trainer.training.scoring import answer_shares
from trainer.training.teacher import mixed, out_of_fold
from trainer.training.vocabulary import fixed_lines
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import Buckets
from twin_store.prompts.escaping import quoted
from twin_store.segments import load_definitions


@dataclass(frozen=True)
class MadeBase:
    """A trained base in its folder, with what it was like on the last weeks before `until`, by kind.

    `seconds` of the clock and `cpu_s` of the processor were spent on the training alone.
    """

    base: BaseModel
    metrics: Mapping[QuestionKind, dict[str, float | int]]
    seconds: float
    cpu_s: float


def make_decision_base(
    workshop: Workshop,
    lines: Sequence[str],
    config: TrainingConfig,
    folder: Path,
    run_folder: Path,
    threads: int = 1,
    say: Callable[[str], None] = lambda _: None,
    parts: Mapping[QuestionKind, Parts] | None = None,
) -> MadeBase:
    """Make a base in a new folder and train it on the decisions of a history.

    Args:
        lines: what the tokenizer is learnt from, beside the lines of prompts.
        threads: of the teacher's LightGBM.
        parts: the cases, if they are not to be drawn as the set-up says.

    Raises:
        NotEnoughHistoryError: the history has too few cases.
        TinyBaseError: the folder holds something.
        RunError: `run_folder` holds another run.
    """
    examiner = Examiner(workshop)
    parts = parts or gather(workshop, examiner, config, say)
    buckets = Buckets(Buckets.fit(tables_of(parts)).edges, config.silent).most_telling(config.numbers)
    going_on = (run_folder / RUN).exists() and (folder / BUCKETS).exists()
    if not going_on:  # else the folder holds what this very run began with
        whole = fixed_lines(buckets, load_definitions())
        named = [quoted(name) for name in workshop.history.catalogue["name"].drop_nulls().unique().sort()]
        make_base(SIZES[config.size], [*lines, *named], folder, config.base.seed, say, whole)
        lay_out_ladders(folder, buckets, config.base.seed)
        (folder / BUCKETS).write_text(buckets.to_json())
    if config.cpt.steps and not going_on:
        _read_first(workshop, examiner, config, folder, run_folder, say)
    tokens = ModelTokens.of(folder)
    length = SIZES[config.size].context
    data = Encoded.of(_taught(examiner, parts, buckets, config, threads), tokens, length)
    say(f"{len(data):,} prompts to learn from, {data.lengths.mean():.0f} tokens each")
    trained = train_base(folder, data, config.base, run_folder, say)
    model = _model_in(folder)
    listener = Listener(model, examiner, buckets, tokens)
    (folder / CALIBRATION).write_bytes(calibration_to_json(_calibrations(listener, parts)))
    metrics = {
        kind: _measured(model, Encoded.of(examples_of(examiner, part.last, buckets), tokens, length))
        for kind, part in parts.items()
    }
    for kind, found in metrics.items():
        say(f"{kind}: on the last weeks AUC {found['auc']:.3f}, Brier {found['brier']:.3f}")
    return MadeBase(BaseModel.read(folder), metrics, trained["seconds"], trained["cpu_s"])


def _read_first(
    workshop: Workshop,
    examiner: Examiner,
    config: TrainingConfig,
    folder: Path,
    run_folder: Path,
    say: Callable[[str], None],
) -> None:
    texts = corpus(workshop.history, examiner.called, workshop.end, config.cpt.seed)
    train_cpt(_model_in(folder), folder, texts, config.cpt, run_folder / "cpt", say).save_pretrained(folder)


def _taught(
    examiner: Examiner,
    parts: Mapping[QuestionKind, Parts],
    buckets: Buckets,
    config: TrainingConfig,
    threads: int,
) -> Iterator[Example]:
    for part in parts.values():
        # Cases of hard negatives and of the shop floor have base rates of their own, so teachers of their own.
        for drawn in by_drawing(part.fit):
            table = replace(drawn.table, weights=drawn.table.weights / drawn.table.weights.mean())
            taught = out_of_fold(table, drawn.customers, config.effort.seed, threads)
            targets = mixed(table, taught, config.teacher_share)
            yield from examples_of(examiner, replace(drawn, table=table), buckets, targets)


def _calibrations(
    listener: Listener, parts: Mapping[QuestionKind, Parts]
) -> dict[QuestionKind, Curve | Temperature]:
    """By kind, from cases later than those learnt from: of the shop floor, which come last, where there are some."""
    latest = {kind: [*by_drawing(part.calibrate)][-1] for kind, part in parts.items() if len(part.calibrate)}
    return {kind: calibration_of(asked.table, listener.raw(asked)) for kind, asked in latest.items()}


def _model_in(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype="float32")


def _measured(model: Any, data: Encoded) -> dict[str, float | int]:
    truths, said = yes_truths(data, answer_shares(model, data))
    return summary(truths, said)
