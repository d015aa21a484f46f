"""Cases to answers by a decider: probabilities, or a ranking of what comes next. A case that fails costs no other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainer.deciders.base import Decider, Decision, DecisionInput, Refusal
from trainer.fidelity.external import CaseError, ExternalCase, Unanswered
from trainer.fidelity.known import Known
from trainer.fidelity.ranking import BestSellers, proposals
from trainer.tasks.cases import Case
from twin_store.dna.twin import Twin
from twin_store.evidence import Products
from twin_store.symbols import key_of

BATCH = 256
PROGRESS_EVERY = 2_000
DeciderOf = Callable[[Products], Decider]


@dataclass(frozen=True)
class Answer:
    """To one case: `p` by candidate, basket or YES; or a `ranking`, best first, with the probability of each."""

    case_id: str
    p: list[float]
    ranking: list[str] | None = None

    def as_json(self) -> dict[str, Any]:
        """As the answers' file has it."""
        if self.ranking is None:
            return {"case_id": self.case_id, "p": self.p}
        return {"case_id": self.case_id, "ranking": self.ranking}


def answer_cases(
    known: Known,
    cases: Sequence[ExternalCase],
    decider_of: DeciderOf,
    stale_days: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Answer | Unanswered]:
    """One answer a case, or why there is none, in their order."""
    answers: dict[int, Answer | Unanswered] = {}
    places, asked = [], []
    for i, case in enumerate(cases):
        try:
            asked.append(known.case_of(case))
            places.append(i)
        except CaseError as error:
            answers[i] = Unanswered(case.line, case.case_id, str(error))
    ranker = Ranker(known)
    deciders: dict[int, Decider] = {}
    for batch in _batches(known.replay.twins(asked, stale_days)):
        waiting: dict[int, list[tuple[int, DecisionInput]]] = {}
        for place, twin in batch:
            i, question = places[place], asked[place]
            if cases[i].kind == "next_basket":
                question = ranker.question(cases[i], question, twin)
                if not question.subject.candidates:
                    answers[i] = Answer(cases[i].case_id, [], [])
                    continue
            decision = DecisionInput(question.question, twin, question.matched, question.customer_id)
            waiting.setdefault(known.catalogue_at(question.as_of), []).append((i, decision))
        for catalogue, inputs in waiting.items():
            if catalogue not in deciders:
                deciders[catalogue] = decider_of(known.products_at(cases[inputs[0][0]].as_of))
            decided = _decisions(deciders[catalogue], [each for _, each in inputs])
            for (i, each), said in zip(inputs, decided, strict=True):
                answers[i] = _answer(cases[i], each, said)
        if len(answers) // PROGRESS_EVERY != (len(answers) - len(batch)) // PROGRESS_EVERY:
            progress(len(answers))
    return [answers[i] for i in range(len(cases))]


class Ranker:
    """Turns a next_basket case into the purchase question that ranks it. Its tables are made when first needed."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._names: dict[int, str] | None = None
        self._sellers: BestSellers | None = None

    def question(self, external: ExternalCase, case: Case, twin: Twin) -> Case:
        """The same case, asking about what may be in the basket, on the terms of the shop floor."""
        candidates = list(dict.fromkeys(external.candidates)) or self._proposals(case, twin, external.k)
        subject = case.subject.model_copy(update={"candidates": candidates})
        context = self._known.context(external, candidates)
        environment = case.environment.model_copy(update={"context": context})
        return replace(case, subject=subject, environment=environment, matched=False)

    def _proposals(self, case: Case, twin: Twin, k: int) -> list[str]:
        if self._names is None:
            skus = self._known.history.lines["sku"].drop_nulls().unique().sort().to_list()
            self._names = {key_of(sku): sku for sku in skus}
            market = self._known.products_at(case.as_of).market
            self._sellers = BestSellers(market, self._names)
        assert self._sellers is not None
        return proposals(twin, case.as_of, self._sellers.at(case.as_of), self._names, k)


def _decisions(decider: Decider, inputs: Sequence[DecisionInput]) -> list[Decision | Refusal]:
    """What the decider says. Where it fails, each question is put to it alone: one defect costs one answer."""
    try:
        return decider.decide(inputs)
    except Exception as error:
        if len(inputs) > 1:
            return [decision for each in inputs for decision in _decisions(decider, [each])]
        return [Refusal(f"the decider failed: {type(error).__name__}: {error}"[:500])]


def _answer(
    external: ExternalCase, asked: DecisionInput, decision: Decision | Refusal
) -> Answer | Unanswered:
    if isinstance(decision, Refusal):
        return Unanswered(external.line, external.case_id, decision.reason)
    if external.kind != "next_basket":
        return Answer(external.case_id, decision.probabilities)
    pairs = zip(asked.question.subject.candidates, decision.probabilities, strict=True)
    best = sorted(pairs, key=lambda pair: -pair[1])[: external.k]
    return Answer(external.case_id, [p for _, p in best], [sku for sku, _ in best])


def _batches(found: Iterator[tuple[int, Twin]]) -> Iterator[list[tuple[int, Twin]]]:
    batch: list[tuple[int, Twin]] = []
    for each in found:
        batch.append(each)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
