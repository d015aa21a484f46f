"""The same questions to the evidence decider again: about other twins, and about those that a language model answered.

What answers owe to fresh twins, and to twins at all, is what is lost with week-old ones and with those of somebody
else. What a language model is worth shows beside what the evidence decider says to the very questions it answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streams.demo.cases import Settled
from streams.demo.scores import Options
from streams.settings import Settings
from trainer.deciders.base import Decider, Decision, DecisionInput
from twin_store.batch_fold import fold, read
from twin_store.dna.twin import Twin, rewind
from twin_store.evidence import Question
from twin_store.lake import Lake
from twin_store.messages.codec import SECONDS_PER_DAY, epoch_seconds

STALE_DAYS = 7
TwinOf = Callable[[Settled], Twin]


def controls(settings: Settings, settled: Sequence[Settled], decider: Decider) -> dict[str, Any]:
    """Scores of the settled cases, asked again of the evidence decider, whoever answered them live.

    `auc_asked_again` is of the twins as they were: next to the live one of the evidence decider it shows that the
    replay is faithful. `same_questions` has the language model's answers and the evidence decider's to the same
    questions; it is None where no language model answered.
    """
    twins = _twins(settings, settled)
    by_model = [case for case in settled if case.prediction.decider != decider.name]
    return {
        "auc_asked_again": Options.of(*_asked_again(settled, decider, _own(twins))).auc(),
        f"auc_{STALE_DAYS}_days_stale": Options.of(*_asked_again(settled, decider, _stale(twins))).auc(),
        "auc_wrong_customer": Options.of(*_asked_again(settled, decider, _somebody_elses(twins))).auc(),
        "same_questions": _beside(by_model, decider, _own(twins)) if by_model else None,
    }


def _beside(by_model: Sequence[Settled], decider: Decider, twin_of: TwinOf) -> dict[str, Any]:
    """Of the questions that both answer."""
    both, said = _asked_again(by_model, decider, twin_of)
    return {
        by_model[0].prediction.decider: Options.of(both).summary(),
        decider.name: Options.of(both, said).summary(),
    }


def _twins(settings: Settings, settled: Sequence[Settled]) -> dict[str, Twin]:
    """The twins of the customers asked about, from the lake."""
    customers = sorted({case.query.customer_id for case in settled})
    stored = read(Lake(settings.lake), customers=customers)
    return {customer: fold(stored, customer) for customer in customers}


def _own(twins: Mapping[str, Twin]) -> TwinOf:
    return lambda case: rewind(twins[case.query.customer_id], epoch_seconds(case.query.as_of))


def _stale(twins: Mapping[str, Twin]) -> TwinOf:
    """Each customer's own twin as it was `STALE_DAYS` before the question."""
    back = STALE_DAYS * SECONDS_PER_DAY
    return lambda case: rewind(twins[case.query.customer_id], epoch_seconds(case.query.as_of) - back)


def _somebody_elses(twins: Mapping[str, Twin]) -> TwinOf:
    """The twin of the next customer in order, at the same moment."""
    order = sorted(twins)
    after = dict(zip(order, [*order[1:], *order[:1]], strict=True))
    return lambda case: rewind(twins[after[case.query.customer_id]], epoch_seconds(case.query.as_of))


def answers_again(
    settings: Settings, settled: Sequence[Settled], decider: Decider
) -> tuple[list[Settled], list[list[float]]]:
    """What a decider says to these questions about the twins as they were; those that it answers, and its answers."""
    return _asked_again(settled, decider, _own(_twins(settings, settled)))


def _asked_again(
    settled: Sequence[Settled], decider: Decider, twin_of: TwinOf
) -> tuple[list[Settled], list[list[float]]]:
    """The cases that the decider answers, and what it says."""
    kept: list[Settled] = []
    said: list[list[float]] = []
    for case in settled:
        query = case.query
        question = Question(query.kind, epoch_seconds(query.as_of), query.subject, query.environment)
        answer = decider.decide([DecisionInput(question, twin_of(case))])[0]
        if isinstance(answer, Decision):
            kept.append(case)
            said.append(answer.probabilities)
    return kept, said
