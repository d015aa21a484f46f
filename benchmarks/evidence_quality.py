"""How true the evidence decider is on weeks it has not seen, on the Complete Journey data set.

    python -m benchmarks.evidence_quality [--customers N] [--json]

Fitted on what happened before the split; asked about what came after it, as of each case's own moment, through
the decider that answers live. The same cases are asked of twins that are a week behind, and of other customers'.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.journey_lake import journey_lake
from streams.machine import machine
from trainer.deciders.base import Decision, DecisionInput
from trainer.deciders.evidence import EvidenceDecider
from trainer.evaluation import auc, hit_rate, interval, summary
from trainer.fit_evidence import Effort, fit_evidence, publish_evidence
from trainer.heads import ONE_IS_TRUE
from trainer.registry import Registry
from trainer.tasks import matched
from trainer.tasks.cases import Case, of_other_customers
from trainer.tasks.floor import floor
from trainer.tasks.history import History
from trainer.tasks.vouchers import voucher_cases
from trainer.tasks.workshop import Workshop
from twin_store.messages.base import format_instant

SPLIT = datetime(2017, 10, 1, tzinfo=UTC)
END = datetime(2018, 1, 2, tzinfo=UTC)
STALE_DAYS = 7
BATCH = 256
SEED = 2  # not the seed that drew the cases to fit on


@dataclass(frozen=True)
class Answers:
    """Rows of all labels of some cases: truths, probabilities, weights, the case and the customer of each."""

    truths: np.ndarray
    probabilities: np.ndarray
    weights: np.ndarray
    cases: np.ndarray
    customers: np.ndarray
    regular: np.ndarray


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=None, help="how many of the 2,469 (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    began = time.monotonic()

    def say(line: str) -> None:
        if not options.json:
            print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), options.customers, say)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        _print(found)


def run(folder: Path, customers: int | None, say: Any) -> dict[str, Any]:
    """Every measure by kind of question."""
    lake = journey_lake(folder / "lake", END, customers)
    say("lake written")
    registry = Registry(str(folder / "models"))
    history = History.from_lake(lake, SPLIT, datetime(2017, 2, 26, tzinfo=UTC), say)
    effort = Effort()
    fitted, metrics = fit_evidence(history, effort, say)
    manifest = publish_evidence(registry, fitted, metrics, SPLIT, format_instant(SPLIT), effort)
    del history, fitted
    workshop = Workshop(History.from_lake(lake, END, SPLIT, say), say)
    decider = EvidenceDecider.load(registry, manifest.version, workshop.products)
    kinds = {}
    for name, cases in _later_cases(workshop, effort).items():
        kinds[name] = _measure(workshop, decider, cases)
        say(f"{name}: {len(cases):,} cases")
    return {
        "machine": machine(),
        "split": SPLIT.date().isoformat(),
        "customers": len(workshop.shop.trips.customer_ids),
        "kinds": kinds,
    }


def _later_cases(workshop: Workshop, effort: Effort) -> dict[str, list[Case]]:
    """Cases asked after the split, a quarter as many as were drawn before it."""
    shop, start, end = workshop.shop, int(SPLIT.timestamp()), int(END.timestamp())
    quarter = effort.times(0.25)
    return {
        "purchase": list(matched.purchases(shop, start, end, quarter.purchase, SEED)),
        "promotion_response": list(matched.promotions(shop, start, end, quarter.promotion, SEED)),
        "basket_completion": list(matched.completions(shop, start, end, quarter.completion // 4, SEED)),
        "trip_choice": list(matched.choices(shop, start, end, quarter.choice, SEED)),
        "voucher_redemption": [case for case in voucher_cases(workshop.history) if case.as_of >= start],
        "purchase, shop floor": list(floor(shop, "purchase", start, end, quarter.purchase_floor, SEED)),
        "promotion_response, shop floor": list(
            floor(shop, "promotion_response", start, end, quarter.promotion_floor, SEED)
        ),
    }


def _measure(workshop: Workshop, decider: EvidenceDecider, cases: list[Case]) -> dict[str, Any]:
    answers = _ask(workshop, decider, cases)
    found: dict[str, Any] = dict(summary(answers.truths, answers.probabilities, answers.weights))
    if cases[0].kind in ONE_IS_TRUE:
        found["hit_rate"] = hit_rate(answers.truths, answers.probabilities, answers.cases)
    else:
        found["auc_interval"] = interval(auc, answers.truths, answers.probabilities, answers.customers)
    for name, rows in (("regular", answers.regular), ("never_bought", ~answers.regular)):
        if cases[0].kind == "purchase" and len(np.unique(answers.truths[rows])) == 2:
            found[name] = summary(answers.truths[rows], answers.probabilities[rows], answers.weights[rows])
    controls = {
        "stale": _ask(workshop, decider, cases, STALE_DAYS),
        "wrong_customer": _ask(workshop, decider, of_other_customers(cases, SEED)),
    }
    for name, other in controls.items():
        found[f"auc_{name}"] = auc(other.truths, other.probabilities, other.weights)
        if cases[0].kind in ONE_IS_TRUE:
            found[f"hit_rate_{name}"] = hit_rate(other.truths, other.probabilities, other.cases)
    return found


def _ask(workshop: Workshop, decider: EvidenceDecider, cases: list[Case], stale_days: int = 0) -> Answers:
    """Every case through the decider, in batches."""
    decisions: list[Decision | None] = [None] * len(cases)
    batch: list[tuple[int, DecisionInput]] = []

    def answer() -> None:
        for (i, _), decision in zip(batch, decider.decide([each for _, each in batch]), strict=True):
            if not isinstance(decision, Decision):
                raise RuntimeError(f"case {i} of {cases[i].kind} was refused: {decision.reason}")
            decisions[i] = decision
        batch.clear()

    for i, twin in workshop.replay.twins(cases, stale_days):
        batch.append((i, DecisionInput(cases[i].question, twin, cases[i].matched)))
        if len(batch) == BATCH:
            answer()
    answer()
    answered = [decision for decision in decisions if decision is not None]
    counts = [len(case.labels) for case in cases]
    return Answers(
        np.array([label for case in cases for label in case.labels]),
        np.array([p for decision in answered for p in decision.probabilities]),
        np.array([weight for case in cases for weight in case.weights]),
        np.repeat(np.arange(len(cases)), counts),
        np.repeat([case.customer_id for case in cases], counts),
        np.array([row.get("item_days", 0) > 0 for decision in answered for row in decision.evidence]),
    )


def _print(found: dict[str, Any]) -> None:
    print(f"\n{found['machine']}; {found['customers']:,} customers; fitted before {found['split']}\n")
    print(f"{'question':32} {'n':>7} {'AUC':>6} {'Brier':>6} {'ECE':>6} {'hit':>6} {'7 d':>6} {'other':>6}")
    for name, m in found["kinds"].items():
        measured = "hit_rate" if "hit_rate" in m else "auc"
        print(
            f"{name:32} {m['n']:7,} {m['auc']:6.3f} {m['brier']:6.3f} {m['ece']:6.3f} "
            f"{m.get('hit_rate', float('nan')):6.3f} {m[measured + '_stale']:6.3f} "
            f"{m[measured + '_wrong_customer']:6.3f}"
        )
    print(
        "\n7 d: answered by twins a week behind; other: by another customer's (hit rates where there are any)"
    )


if __name__ == "__main__":
    main()
