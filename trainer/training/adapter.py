"""From a history to an adapter of one segment that can be published: trained, calibrated, judged, with its canaries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.base_model import BaseModel
from trainer.calibration import Curve, Temperature
from trainer.deciders.language.served import BUCKETS
from trainer.deciders.vllm.canaries import Canaries, Canary
from trainer.deciders.vllm.tokens import ModelTokens
from trainer.gate.scores import Scores
from trainer.gate.verdict import Guards, Verdict, judge
from trainer.heads import ONE_IS_TRUE, Head
from trainer.publish_adapter import peft_files
from trainer.tasks.history import NotEnoughHistoryError, day_of
from trainer.tasks.workshop import Workshop
from trainer.training.config import TrainingConfig
from trainer.training.encoded import Encoded
from trainer.training.examples import Example, examples_of
from trainer.training.grpo import train_grpo
from trainer.training.listening import Listener, calibrated_rows, calibration_of
from trainer.training.material import Parts, by_drawing, gather
from trainer.training.questions import Asked, Examiner
from trainer.training.runs import RunError
from trainer.training.scoring import p_yes
from trainer.training.sft import train_sft
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import Buckets, BucketsError
from twin_store.prompts.answers import NO, YES

PAIRS_MIN = 300  # labelled pairs that an adapter needs (LBM)
CANARIES = 4
CANARIES_FROM = 400  # prompts that canaries are picked from
CHAMPION = "evidence"


@dataclass(frozen=True)
class TrainedAdapter:
    """All that goes into a published version, and the verdict of the gate.

    Attributes:
        files: PEFT's.
        metrics: on the last weeks, by kind and way of drawing.
    """

    base: BaseModel
    files: dict[str, bytes]
    canaries: Canaries
    calibration: dict[QuestionKind, Curve | Temperature]
    buckets: Buckets
    verdict: Verdict
    metrics: dict[str, Any]
    seconds: float


def train_adapter(
    workshop: Workshop,
    base_folder: Path,
    segment: str,
    config: TrainingConfig,
    run_folder: Path,
    guards: Guards,
    threads: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> TrainedAdapter:
    """Train an adapter of a segment on its cases before the history's end, the last weeks kept to judge it by.

    Its champion is the evidence model, fitted on the same weeks of all customers.

    Raises:
        NotEnoughHistoryError: the segment has too few cases.
        BaseModelError: the base cannot be used.
        RunError: `run_folder` holds another run, the base has no buckets, or the adapter says what the base says.
    """
    began = time.monotonic()
    base, buckets = BaseModel.read(base_folder), base_buckets(base_folder)
    examiner = Examiner(workshop)
    parts = gather(workshop, examiner, config, say)
    own = {kind: part.of_segment(segment) for kind, part in parts.items()}
    own = {kind: part for kind, part in own.items() if min(len(part.fit), len(part.calibrate)) > 0}
    pairs = sum(len(part.fit.table) for part in own.values())
    if pairs < PAIRS_MIN:
        raise NotEnoughHistoryError(
            f"segment {segment!r} has {pairs} labelled pairs before {day_of(workshop.end)}; an adapter needs "
            f"{PAIRS_MIN}: draw more cases, choose a later date, or leave it to the evidence decider"
        )
    say(f"{segment}: {pairs:,} pairs to learn from")
    tokens = ModelTokens.of(base_folder)
    fit = [each for part in own.values() for each in examples_of(examiner, part.fit, buckets)]
    model = train_sft(base_folder, fit, config.sft, run_folder / "sft", say)
    listener = Listener(model, examiner, buckets, tokens)
    later = [each for part in own.values() for each in listener.examples(part.calibrate)]
    if config.grpo.steps:
        held_out = Encoded.of(later, tokens, listener.tokens_max)
        asked = {kind: part.fit for kind, part in own.items()}
        train_grpo(model, base_folder, fit, asked, held_out, config.grpo, run_folder / "grpo", say)
    calibration: dict[QuestionKind, Curve | Temperature] = {}
    scores: list[Scores] = []
    for kind, part in own.items():
        # Those of the shop floor come last and are what is asked live, so theirs is the calibration that is published.
        for later_part in by_drawing(part.calibrate):
            calibration[kind] = calibration_of(later_part.table, listener.raw(later_part))
            scores += _judged(listener, parts[kind], part, later_part, calibration[kind], config, threads)
    canaries = _canaries(model, later, tokens)
    verdict = judge(CHAMPION, f"an adapter of {segment}", scores, guards)
    model.save_pretrained(run_folder / "adapter")
    return TrainedAdapter(
        base,
        peft_files(run_folder / "adapter"),
        canaries,
        calibration,
        buckets,
        verdict,
        {each.kind: each.challenger | {"n": each.rows} for each in verdict.kinds},
        time.monotonic() - began,
    )


def base_buckets(folder: Path) -> Buckets:
    """The buckets that a base was trained with. Raises `RunError` if it has none that can be used."""
    try:
        return Buckets.from_json((folder / BUCKETS).read_bytes())
    except OSError:
        raise RunError(
            f"{folder} has no {BUCKETS}: it was not trained on decisions, see `train base`"
        ) from None
    except BucketsError as error:
        raise RunError(f"{folder / BUCKETS}: {error}") from None


def _judged(
    listener: Listener,
    everybody: Parts,
    own: Parts,
    later: Asked,
    calibration: Curve | Temperature,
    config: TrainingConfig,
    threads: int,
) -> Iterator[Scores]:
    """The evidence model of all customers, and the adapter, on the segment's last weeks; cases drawn as `later` are."""
    is_matched = bool(later.table.matched[0])
    fit, calibrate, last = (
        next((found for found in by_drawing(part) if bool(found.table.matched[0]) == is_matched), None)
        for part in (everybody.fit, everybody.calibrate, own.last)
    )
    if fit is None or calibrate is None or last is None:
        return
    head = Head.fit(fit.table, calibrate.table, config.effort.seed, threads)
    table = last.table
    yield Scores(
        f"{table.kind} ({'matched' if is_matched else 'floor'})",
        table.labels,
        head.probabilities(head.scores(table.evidence), table.cases, table.segments),
        calibrated_rows(calibration, table, listener.raw(last)),
        table.weights,
        table.cases,
        last.customers,
        table.kind in ONE_IS_TRUE,
    )


def _canaries(model: Any, examples: list[Example], tokens: ModelTokens) -> Canaries:
    """The prompts that tell the adapter from its base best. Raises `RunError` if none does."""
    chosen = [each for each in examples if each.answers == (YES, NO)][:CANARIES_FROM] or examples[
        :CANARIES_FROM
    ]
    data = Encoded.of(chosen, tokens, int(model.config.max_position_embeddings))
    adapted = p_yes(model, data, tokens)
    with model.disable_adapter():
        plain = p_yes(model, data, tokens)
    telling = np.argsort(-np.abs(adapted - plain), kind="stable")[:CANARIES].tolist()
    found = Canaries(tuple(Canary(tuple(data.prompt(i).tolist()), float(adapted[i])) for i in telling))
    if found.blind(plain[telling].tolist()):
        raise RunError(
            "the adapter says what its base says: nothing was learnt, so there is nothing to publish"
        )
    return found
