"""The evidence decider: a fitted version that answers from named numbers, many questions at a time."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from trainer.certainty import why_abstain
from trainer.deciders.base import Decision, DecisionInput, Refusal, choice_of
from trainer.fitted import DECIDER, Fitted
from trainer.heads import Head
from trainer.newton import sigmoid
from trainer.registry import Registry, RegistryError
from twin_store.evidence import (
    EVIDENCE_NAMES,
    EvidenceReader,
    Products,
    UnanswerableQuestion,
    named,
)
from twin_store.messages.decisions import QuestionKind
from twin_store.segments import load_definitions, segment_of

# In the refusal of a kind that the history a version was trained on had too few cases of.
NO_HEAD = "has no model of"


class EvidenceDecider:
    """See `Decider`. One version over the products that are handed in, which may change as it goes."""

    def __init__(self, version: str, fitted: Fitted, products: Products) -> None:
        """Raises `SegmentDefinitionError` if it was calibrated for segments that are not known here."""
        self._version = version
        self._fitted = fitted
        self._reader = EvidenceReader(products, fitted.affinity)
        for head in fitted.heads.values():
            if head.by_segment is not None:
                load_definitions(head.by_segment.definitions)

    @classmethod
    def load(
        cls, registry: Registry, version: str, products: Products, threads: int = 1, line: str = DECIDER
    ) -> Self:
        """A published version of the model of all, or of the `line` of a segment's own.

        Raises:
            RegistryError: it is not there, was changed, or reads evidence that this code does not give.
        """
        _, files = registry.load(line, version)
        try:
            return cls(version, Fitted.from_files(files, threads), products)
        except (KeyError, ValueError) as error:
            raise RegistryError(f"{line} version {version} cannot be used: {error}") from None

    @property
    def name(self) -> str:
        """See `Decider`."""
        return DECIDER

    @property
    def version(self) -> str:
        """See `Decider`."""
        return self._version

    @property
    def reader(self) -> EvidenceReader:
        """What it reads evidence by. Not thread-safe."""
        return self._reader

    @property
    def kinds(self) -> tuple[QuestionKind, ...]:
        """The question kinds that this version answers."""
        return self._fitted.kinds

    def decide(self, batch: Sequence[DecisionInput]) -> list[Decision | Refusal]:
        """See `Decider`. Inputs that the same head answers are scored together."""
        answers: dict[int, Decision | Refusal] = {}
        by_head: dict[tuple[QuestionKind, bool], list[int]] = {}
        for place, each in enumerate(batch):
            by_head.setdefault((each.question.kind, each.matched), []).append(place)
        for (kind, matched), places in by_head.items():
            head = self._fitted.head(kind, matched)
            if head is None:
                answers.update(dict.fromkeys(places, Refusal(self._reason_against(kind))))
            else:
                self._decide_together(head, [(place, batch[place]) for place in places], answers)
        return [answers[place] for place in range(len(batch))]

    def _reason_against(self, kind: QuestionKind) -> str:
        if kind not in EVIDENCE_NAMES:
            return f"a {kind} is not answered from numbers: ask a language model"
        return f"version {self._version} {NO_HEAD} {kind}; train on a history with such cases"

    def _decide_together(
        self, head: Head, inputs: list[tuple[int, DecisionInput]], answers: dict[int, Decision | Refusal]
    ) -> None:
        rows: list[np.ndarray] = []
        kept: list[tuple[int, DecisionInput]] = []
        for place, each in inputs:
            try:
                rows.append(self._reader.read(each.question, each.twin))
            except UnanswerableQuestion as error:
                answers[place] = Refusal(str(error))
            else:
                kept.append((place, each))
        if not kept:
            return
        counts = [len(row) for row in rows]
        together = np.concatenate(rows)
        scores = head.scores(together)
        segments = _segments(head, [each for _, each in kept])
        found = head.probabilities(
            scores,
            np.repeat(np.arange(len(kept)), counts),
            None if segments is None else np.repeat(segments, counts),
        )
        probabilities, intervals = found.tolist(), head.intervals(found, together)
        raw = sigmoid(scores).tolist()
        trips = EVIDENCE_NAMES[head.kind].index("trips")
        start = 0
        for (place, each), row in zip(kept, rows, strict=True):
            end = start + len(row)
            said = probabilities[start:end]
            evidence = [named(head.kind, numbers) for numbers in row]
            answers[place] = Decision(
                said,
                raw[start:end],
                choice_of(each.question, said),
                evidence,
                head.degraded,
                intervals=intervals[start:end],
                abstains=why_abstain(float(row[0, trips])),
            )
            start = end


def _segments(head: Head, inputs: Sequence[DecisionInput]) -> np.ndarray | None:
    """The segment of each twin as of its question, by name; None where the head does not ask for them."""
    if head.by_segment is None:
        return None
    definitions = load_definitions(head.by_segment.definitions)
    return np.array([segment_of(each.twin, each.question.as_of, definitions) for each in inputs])
