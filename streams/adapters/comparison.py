"""A version on trial against the champion, by what customers then did.

Answers, those of the shadow among them, and outcomes are joined by query id. Only what both topics still hold counts,
and of the champion only what it said itself: not what the evidence decider answered in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from streams.kafka import read_to_end
from streams.settings import Settings
from streams.topics import OUTCOMES, PREDICTIONS, SHADOWS, Topic
from trainer.evaluation import Scored, auc, brier, difference_interval, log_loss

ALL = "all"
MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "brier": brier,
    "log_loss": log_loss,
    "auc": auc,
}


class _Answer(msgspec.Struct):
    """The fields of `Prediction` that a comparison needs."""

    query_id: str
    customer_id: str
    kind: str
    status: str
    adapter: str | None = None
    probabilities: list[float] = []


class _Outcome(msgspec.Struct):
    """The fields of `Outcome` that a comparison needs."""

    query_id: str
    void: bool = False
    truths: list[int] = []


@dataclass(frozen=True)
class Measured:
    """One measure of both, None where it has no value, and 95 % of how much greater it is for the challenger."""

    champion: float | None
    challenger: float | None
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """Of one kind of question, or of all. Counted are settled answers and the probabilities in them."""

    kind: str
    answers: tuple[int, int]
    probabilities: tuple[int, int]
    measures: dict[str, Measured]


def compare(
    settings: Settings, champion: str, challenger: str, mode: Literal["shadow", "ab"]
) -> list[Comparison]:
    """All kinds together first, then each. `champion` and `challenger` are as predictions name adapters.

    In shadow mode both are judged on the queries that both answered; in `ab` each on its own customers'.
    Raises `KafkaReadError`.
    """
    is_paired = mode == "shadow"
    first = _answers(settings, PREDICTIONS, champion)
    second = _answers(settings, SHADOWS if is_paired else PREDICTIONS, challenger)
    truths = _truths(settings, first.keys() | second.keys())
    first, second = (
        {each: answer for each, answer in said.items() if _fits(answer, truths.get(each))}
        for said in (first, second)
    )
    if is_paired:
        shared = sorted(first.keys() & second.keys())
        first, second = ({each: said[each] for each in shared} for said in (first, second))
    kinds = sorted({answer.kind for answer in first.values()} & {answer.kind for answer in second.values()})
    return [_comparison(kind, first, second, truths, is_paired) for kind in (ALL, *kinds) if kinds]


def _answers(settings: Settings, topic: Topic, adapter: str) -> dict[str, _Answer]:
    """The adapter's answers by query id; of repeats the first."""
    decode = msgspec.json.Decoder(_Answer).decode
    found: dict[str, _Answer] = {}
    for message in read_to_end(settings, topic):
        answer = decode(message.value() or b"")
        if answer.status == "answered" and answer.adapter == adapter:
            found.setdefault(answer.query_id, answer)
    return found


def _truths(settings: Settings, wanted: Iterable[str]) -> dict[str, list[int]]:
    decode, ids = msgspec.json.Decoder(_Outcome).decode, set(wanted)
    outcomes = (decode(message.value() or b"") for message in read_to_end(settings, OUTCOMES))
    return {each.query_id: each.truths for each in outcomes if not each.void and each.query_id in ids}


def _fits(answer: _Answer, truths: list[int] | None) -> bool:
    return bool(truths) and len(truths or ()) == len(answer.probabilities)


def _comparison(
    kind: str,
    first: dict[str, _Answer],
    second: dict[str, _Answer],
    truths: dict[str, list[int]],
    is_paired: bool,
) -> Comparison:
    of_first, of_second = ([a for a in said.values() if kind in (ALL, a.kind)] for said in (first, second))
    champion, challenger = _scored(of_first, truths), _scored(of_second, truths)
    return Comparison(
        kind,
        (len(of_first), len(of_second)),
        (len(champion.truths), len(challenger.truths)),
        {name: _measured(measure, champion, challenger, is_paired) for name, measure in MEASURES.items()},
    )


def _scored(answers: list[_Answer], truths: dict[str, list[int]]) -> Scored:
    return Scored(
        np.array([truth for each in answers for truth in truths[each.query_id]]),
        np.array([p for each in answers for p in each.probabilities]),
        np.array([each.customer_id for each in answers for _ in each.probabilities]),
    )


def _measured(
    measure: Callable[[np.ndarray, np.ndarray], float],
    champion: Scored,
    challenger: Scored,
    is_paired: bool,
) -> Measured:
    one, other = (measure(each.truths, each.probabilities) for each in (champion, challenger))
    low, high = difference_interval(measure, champion, challenger, is_paired)
    return Measured(*(_number(value) for value in (one, other, other - one, low, high)))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
