"""How many decision queries the evidence decider answers a second on one core, evidence included.

    python -m benchmarks.decider [--customers N] [--json]

Twins and questions are those of the Complete Journey data set; the model is fitted on it first, so that trees are as
many and as deep as in use. Every answer reads the twin's tables, scores, calibrates and names its evidence. `ahead`
asks the same of twins that have run a month ahead and are rewound to the moment of each question.
"""

import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.command import run_alone
from benchmarks.journey_lake import journey_lake
from benchmarks.progress import say
from trainer.deciders.base import DecisionInput
from trainer.deciders.evidence import EvidenceDecider
from trainer.fit_evidence import Effort, fit_evidence
from trainer.tasks import matched
from trainer.tasks.cases import Case
from trainer.tasks.floor import floor
from trainer.tasks.history import History
from trainer.tasks.vouchers import voucher_cases
from trainer.tasks.workshop import Workshop

UNTIL = datetime(2017, 9, 1, tzinfo=UTC)
BATCH = 256
QUESTIONS = 2_000  # of each kind
AHEAD_DAYS = 30
SEED = 3


def measure(customers: int = 250) -> dict[str, Any]:
    """Answers a second by kind of question."""
    with tempfile.TemporaryDirectory() as folder:
        lake = journey_lake(Path(folder), UNTIL, customers, displays=False)
        history = History.from_lake(lake, UNTIL, UNTIL)
    workshop = Workshop(history)
    say("a model is fitted")
    fitted, _ = fit_evidence(history, Effort())
    decider = EvidenceDecider("benchmark", fitted, workshop.products)
    shop, start, end = workshop.shop, workshop.first_case, workshop.end
    cases = {
        "one due item": _single(floor(shop, "purchase", start, end, 8 * QUESTIONS, SEED)),
        "purchase": floor(shop, "purchase", start, end, 16 * QUESTIONS, SEED),
        "basket_completion": matched.completions(shop, start, end, QUESTIONS, SEED),
        "trip_choice": matched.choices(shop, start, end, QUESTIONS, SEED),
        "voucher_redemption": voucher_cases(history),
    }
    kinds = {}
    for name, found in cases.items():
        if chosen := list(found)[:QUESTIONS]:  # few customers may have no vouchers
            say(f"{len(chosen):,} questions: {name}")
            kinds[name] = _time(workshop, decider, chosen)
    return {"customers": customers, "kinds": kinds}


def _single(cases: Iterable[Case]) -> Iterable[Case]:
    """The same questions about their first candidate alone, as a planner asks of a due item."""
    for case in cases:
        subject = case.subject.model_copy(update={"candidates": case.subject.candidates[:1]})
        yield Case(
            case.kind,
            case.customer_id,
            case.as_of,
            subject,
            case.environment,
            case.labels[:1],
            case.weights[:1],
            case.matched,
        )


def _time(workshop: Workshop, decider: EvidenceDecider, cases: list[Case]) -> dict[str, float]:
    twins = dict(workshop.replay.twins(cases))
    ahead = dict(workshop.replay.twins(cases, -AHEAD_DAYS))
    now = [DecisionInput(case.question, twins[i]) for i, case in enumerate(cases)]
    later = [DecisionInput(case.question, ahead[i]) for i, case in enumerate(cases)]
    return {
        "questions": len(cases),
        "options": sum(len(case.labels) for case in cases) / len(cases),
        "answers_per_s": len(cases) / _seconds(decider, now),
        "ahead_per_s": len(cases) / _seconds(decider, later),
    }


def _seconds(decider: EvidenceDecider, inputs: list[DecisionInput]) -> float:
    """Processor time of answering all of them once, after a batch to warm up."""
    decider.decide(inputs[:BATCH])
    began = time.process_time()
    for start in range(0, len(inputs), BATCH):
        decider.decide(inputs[start : start + BATCH])
    return time.process_time() - began


if __name__ == "__main__":
    run_alone(__doc__, measure)
