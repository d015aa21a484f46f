"""What a small base learns in minutes, and what CPT, SFT and GRPO add, on the Complete Journey data set.

    python -m benchmarks.training [--lake FOLDER] [--cases N] [--steps N] [--segment S] [--out FOLDER] [--json]

Fitted on cases before the split and asked about weeks after it, with hard negatives; the evidence model is LightGBM on
the same numbers of the same cases. Seconds are of the processor, since a machine may be shared.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.journey_lake import journey_lake
from benchmarks.progress import say
from trainer.evaluation import Scored, auc, brier, difference_interval, ece
from trainer.heads import Head
from trainer.tasks import matched
from trainer.tasks.history import History
from trainer.tasks.workshop import Workshop
from trainer.tiny_base import SIZES, catalogue_lines
from trainer.training.adapter import base_buckets
from trainer.training.config import TrainingConfig
from trainer.training.decision_base import make_decision_base
from trainer.training.encoded import Encoded
from trainer.training.examples import examples_of
from trainer.training.grpo import train_grpo
from trainer.training.listening import Listener, calibrated_rows, calibration_of
from trainer.training.material import Parts, parted
from trainer.training.questions import Asked, Examiner
from trainer.training.sft import train_sft
from twin_store.lake import Lake

SPLIT, END = datetime(2017, 10, 1, tzinfo=UTC), datetime(2018, 1, 2, tzinfo=UTC)
SEED = 2  # not the seed that drew the cases to learn from


@dataclass(frozen=True)
class Result:
    """One model on the held-out cases, raw and calibrated on cases before the split; `cpu_s` of its training."""

    name: str
    cpu_s: float
    auc: float
    brier: float
    ece: float
    raw_ece: float
    auc_gain: tuple[float, float]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lake", type=Path, help="a lake of the data set (default: made for the occasion)")
    parser.add_argument("--cases", type=int, default=96_000, help="labels to learn from, about")
    parser.add_argument("--held-out", type=int, default=12_000, help="labels to measure on, about")
    parser.add_argument("--steps", type=int, default=2_000, help="of the base's training")
    parser.add_argument("--batch", type=int, default=32, help="examples a step")
    parser.add_argument("--cpt", type=int, default=0, help="steps of reading before it")
    parser.add_argument("--sft", type=int, default=150, help="steps of the adapter's")
    parser.add_argument("--grpo", type=int, default=40, help="steps by reward")
    parser.add_argument("--segment", default="regulars", help="whose adapter; empty for none")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keep the base and the runs here")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        lake = Lake(str(options.lake)) if options.lake else journey_lake(out / "lake", displays=False)
        results = measure(lake, options, out)
    if options.json:
        print(json.dumps([asdict(each) for each in results], indent=2))
        return
    print(
        "| model | training, CPU s | AUC | Brier | ECE | ECE before calibration | AUC gain over evidence, 95 % |"
    )
    print("|---|---|---|---|---|---|---|")
    for each in results:
        low, high = each.auc_gain
        print(
            f"| {each.name} | {each.cpu_s:.0f} | {each.auc:.4f} | {each.brier:.4f} | {each.ece:.3f} "
            f"| {each.raw_ece:.3f} | {low:+.4f} to {high:+.4f} |"
        )


def measure(lake: Lake, options: argparse.Namespace, out: Path) -> list[Result]:
    """All models, one after the other."""
    config = TrainingConfig.named("cpu-tiny")
    effort = replace(config.effort, purchase=options.cases, purchase_floor=0, threads=options.threads)
    base_pace = replace(config.base, steps=options.steps, batch=options.batch)
    config = replace(config, effort=effort, base=base_pace, cpt=replace(config.cpt, steps=options.cpt))
    early = Workshop(History.from_lake(lake, SPLIT, SPLIT - timedelta(weeks=26), say), say)
    began = time.process_time()
    folder = out / "base"
    examiner = Examiner(early)
    cases = list(matched.purchases(early.shop, early.first_case, early.end, options.cases, effort.seed))
    parts = parted(examiner.ask(cases))
    say(f"{len(cases):,} cases with {options.cases:,} labels")
    made = make_decision_base(
        early, catalogue_lines(lake), config, folder, out / "run", options.threads, say, {"purchase": parts}
    )
    prepared = time.process_time() - began - made.cpu_s
    say(
        f"the base: {made.cpu_s:.0f} s of the processor, {made.seconds:.0f} s of the clock; its data {prepared:.0f} s"
    )
    whole = Workshop(History.from_lake(lake, END, END - timedelta(weeks=1), say), say)
    later = Examiner(whole)
    split, end = int(SPLIT.timestamp()), int(END.timestamp())
    held_out = later.ask(list(matched.purchases(whole.shop, split, end, options.held_out, SEED)))
    began = time.process_time()
    head = Head.fit(parts.fit.table, parts.calibrate.table, effort.seed, options.threads)
    evidence_s = time.process_time() - began
    bench = Bench(head, folder, examiner, later, parts, held_out, evidence_s)
    results = [bench.evidence(), bench.model("base", bench.loaded(), made.cpu_s)]
    if options.segment:
        results += _of_segment(bench, options, config, out)
    return results


class Bench:
    """The held-out cases, and what all models are compared by."""

    def __init__(
        self,
        head: Head,
        folder: Path,
        examiner: Examiner,
        later: Examiner,
        parts: Parts,
        held_out: Asked,
        evidence_s: float,
    ) -> None:
        from trainer.deciders.vllm.tokens import ModelTokens

        self.folder, self.examiner, self.parts, self.held_out = folder, examiner, parts, held_out
        self.buckets, self.tokens = base_buckets(folder), ModelTokens.of(folder)
        self._head, self._later, self._evidence_s = head, later, evidence_s

    def of_segment(self, segment: str) -> Bench:
        """With the cases of a segment alone; the evidence model is still that of everybody."""
        keep = np.array([each == segment for each in self.held_out.segments])
        parts = self.parts.of_segment(segment)
        return Bench(
            self._head,
            self.folder,
            self.examiner,
            self._later,
            parts,
            self.held_out.where(keep),
            self._evidence_s,
        )

    def loaded(self) -> Any:
        """The base."""
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_pretrained(self.folder, dtype="float32")

    def evidence(self) -> Result:
        """The evidence model."""
        said = self._said_by_evidence()
        return self._result("evidence model", self._evidence_s, said, said)

    def model(self, name: str, model: Any, cpu_s: float) -> Result:
        """A language model."""
        before = Listener(model, self.examiner, self.buckets, self.tokens)
        fitted = calibration_of(self.parts.calibrate.table, before.raw(self.parts.calibrate))
        raw = Listener(model, self._later, self.buckets, self.tokens).raw(self.held_out)
        found = self._result(name, cpu_s, raw, calibrated_rows(fitted, self.held_out.table, raw))
        say(
            f"{name}: AUC {found.auc:.4f}, Brier {found.brier:.4f}, ECE {found.ece:.3f} (raw {found.raw_ece:.3f})"
        )
        return found

    def _said_by_evidence(self) -> np.ndarray:
        table = self.held_out.table
        return self._head.probabilities(self._head.scores(table.evidence), table.cases)

    def _result(self, name: str, cpu_s: float, raw: np.ndarray, said: np.ndarray) -> Result:
        truths, customers = self.held_out.table.labels, self.held_out.customers
        first = Scored(truths, self._said_by_evidence(), customers)
        gain = difference_interval(auc, first, Scored(truths, said, customers), True)
        return Result(
            name, cpu_s, auc(truths, said), brier(truths, said), ece(truths, said), ece(truths, raw), gain
        )


def _of_segment(bench: Bench, options: argparse.Namespace, config: TrainingConfig, out: Path) -> list[Result]:
    """What an adapter adds for one segment: SFT, and GRPO by either stage after it."""
    own = bench.of_segment(options.segment)
    name = options.segment
    results = [
        replace(own.evidence(), name=f"evidence model, {name} alone"),
        own.model(f"base, {name} alone", bench.loaded(), 0.0),
    ]
    fit = list(examples_of(bench.examiner, own.parts.fit, bench.buckets))
    began = time.process_time()
    model = train_sft(bench.folder, fit, replace(config.sft, steps=options.sft), out / "sft", say)
    results.append(own.model("… + SFT", model, time.process_time() - began))
    length = SIZES[config.size].context
    held_out = Encoded.of(
        examples_of(bench.examiner, own.parts.calibrate, bench.buckets), bench.tokens, length
    )
    asked = {"purchase": own.parts.fit}
    for stage, bound in (("v1", 0.03), ("v1", 1.0)):
        pace = replace(config.grpo, steps=options.grpo, stage=stage, ece_max=bound)
        began = time.process_time()
        watched = "stopped by ECE" if bound < 1 else "not stopped"
        found = train_grpo(
            model, bench.folder, fit, asked, held_out, pace, out / f"grpo-{watched.replace(' ', '-')}", say
        )
        last = found["looks"][-1]
        named = f"… + GRPO {stage}, {watched} (kept step {found['kept']}; last look ECE {last['ece']:.3f})"
        results.append(own.model(named, model, time.process_time() - began))
    return results


if __name__ == "__main__":
    main()
