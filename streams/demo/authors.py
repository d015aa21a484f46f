"""Who answered in the demo, how well, and what kept the language model from an answer where it gave none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from streams.demo.cases import Cases, Settled
from streams.demo.scores import Options
from twin_store.messages import Prediction


def authors(cases: Cases) -> dict[str, Any]:
    """Answers by decider and by adapter, what answers lacked, and the scores of each decider's own answers."""
    answers = [case.prediction for case in cases.cases if case.is_answered and case.prediction is not None]
    settled = cases.settled()
    names = sorted({answer.decider for answer in answers})
    return {
        "answered_by": dict(Counter(answer.decider for answer in answers)),
        "by_decider": {name: Options.of(by_decider(settled, name)).summary() for name in names},
        "by_adapter": dict(
            Counter(answer.adapter or "the base" for answer in answers if answer.prompt_hash is not None)
        ),
        "degraded_share": round(sum(bool(lacks(answer)) for answer in answers) / max(1, len(answers)), 4),
        "degraded": dict(Counter(lack for answer in answers for lack in lacks(answer)).most_common()),
    }


def by_decider(settled: Sequence[Settled], name: str) -> list[Settled]:
    """The settled answers of one decider."""
    return [case for case in settled if case.prediction.decider == name]


def lacks(answer: Prediction) -> list[str]:
    """What an answer lacks, each without its particulars, so that they can be counted."""
    parts = (answer.degraded_reason or "").split("; ")
    return [part.partition(":")[0] for part in parts if part]
