"""The evidence decider: a fitted version that answers from named numbers, many questions at a time."""

import json
from collections.abc import Sequence
from typing import Self, get_args

import numpy as np

from trainer.calibration import Calibration
from trainer.deciders.base import NO, YES, Decision, DecisionInput, Refusal
from trainer.fitted import DECIDER, Fitted
from trainer.registry import Registry, RegistryError
from trainer.scorers import read_scorer
from twin_store.affinity import Affinity
from twin_store.evidence import (
    EVIDENCE_NAMES,
    EvidenceReader,
    Products,
    Question,
    UnanswerableQuestion,
    named,
)
from twin_store.messages.decisions import QuestionKind


class EvidenceDecider:
    """See `Decider`. One version's models over the products that are handed in, which may change as it goes."""

    def __init__(
        self, version: str, models: dict[QuestionKind, Fitted], affinity: Affinity, products: Products
    ) -> None:
        self._version = version
        self._models = models
        self._reader = EvidenceReader(products, affinity)

    @classmethod
    def load(cls, registry: Registry, version: str, products: Products, threads: int = 1) -> Self:
        """A published version.

        Raises:
            RegistryError: it is not there, was changed, or reads evidence that this code does not give.
        """
        _, files = registry.load(DECIDER, version)
        models: dict[QuestionKind, Fitted] = {}
        for kind in get_args(QuestionKind):
            names = EVIDENCE_NAMES[kind]
            maps_file = files.get(f"{kind}.maps.json")
            if maps_file is None:
                continue
            maps = json.loads(maps_file)
            if tuple(maps["evidence"]) != tuple(names):
                raise RegistryError(
                    f"version {version} of {kind} was fitted on other evidence; train it again"
                )
            name = next(n for n in files if n.startswith(f"{kind}.") and n != f"{kind}.maps.json")
            matched, floor = (
                Calibration.from_json(maps[part]) if maps[part] else None for part in ("matched", "floor")
            )
            scorer = read_scorer(name, files[name].decode(), threads)
            models[kind] = Fitted(kind, scorer, matched, floor, maps["temperature"])
        return cls(version, models, Affinity.from_bytes(files["affinity.npz"]), products)

    @property
    def name(self) -> str:
        """See `Decider`."""
        return DECIDER

    @property
    def version(self) -> str:
        """See `Decider`."""
        return self._version

    @property
    def kinds(self) -> tuple[QuestionKind, ...]:
        """The question kinds that this version answers."""
        return tuple(self._models)

    def decide(self, batch: Sequence[DecisionInput]) -> list[Decision | Refusal]:
        """See `Decider`. Inputs of one kind are scored together."""
        answers: dict[int, Decision | Refusal] = {}
        by_kind: dict[QuestionKind, list[int]] = {}
        for at, each in enumerate(batch):
            by_kind.setdefault(each.question.kind, []).append(at)
        for kind, places in by_kind.items():
            model = self._models.get(kind)
            if model is None:
                refusal = Refusal(
                    f"version {self._version} has no model of {kind}; train on a history that has such cases"
                )
                answers.update(dict.fromkeys(places, refusal))
            else:
                self._decide_kind(model, [(at, batch[at]) for at in places], answers)
        return [answers[at] for at in range(len(batch))]

    def _decide_kind(
        self, model: Fitted, inputs: list[tuple[int, DecisionInput]], answers: dict[int, Decision | Refusal]
    ) -> None:
        rows: list[np.ndarray] = []
        kept: list[tuple[int, DecisionInput]] = []
        for at, each in inputs:
            try:
                rows.append(self._reader.read(each.question, each.twin))
            except UnanswerableQuestion as error:
                answers[at] = Refusal(str(error))
            else:
                kept.append((at, each))
        if not kept:
            return
        counts = [len(row) for row in rows]
        evidence = np.concatenate(rows)
        cases = np.repeat(np.arange(len(kept)), counts)
        is_matched = np.repeat([each.matched for _, each in kept], counts)
        raw = model.scorer(evidence)
        probabilities = model.probabilities_of(raw, cases, is_matched)
        start = 0
        for (at, each), row in zip(kept, rows, strict=True):
            end = start + len(row)
            said = probabilities[start:end].tolist()
            answers[at] = Decision(
                said,
                raw[start:end].tolist(),
                _choice(each.question, said),
                [named(model.kind, r) for r in row],
            )
            start = end


def _choice(question: Question, probabilities: list[float]) -> str:
    best = int(np.argmax(probabilities))
    match question.kind:
        case "voucher_redemption":
            return YES if probabilities[0] >= 0.5 else NO
        case "trip_choice":
            return str(best)
        case "basket_completion":
            return question.subject.candidates[best]
        case _:
            if len(probabilities) == 1:
                return YES if probabilities[0] >= 0.5 else NO
            return question.subject.candidates[best]
