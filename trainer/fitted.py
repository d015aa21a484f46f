"""A version of the evidence decider: a head for each kind of question and way of drawing its candidates."""

import json
from dataclasses import dataclass
from typing import Self, get_args

from trainer.heads import Head
from trainer.registry import RegistryError
from twin_store.affinity import Affinity
from twin_store.evidence import EVIDENCE_NAMES
from twin_store.messages.decisions import QuestionKind

DECIDER = "evidence"
AFFINITY_FILE = "affinity.npz"
NAMES_FILE = "evidence-names.json"
MATCHED, FLOOR = "matched", "floor"
# A retailer without displays and mailers has no cases of promotions; a purchase is foretold from the same evidence.
STAND_INS: dict[QuestionKind, QuestionKind] = {"promotion_response": "purchase"}


@dataclass(frozen=True)
class Fitted:
    """All that was fitted. `heads` by kind and by how candidates are drawn, MATCHED or FLOOR."""

    heads: dict[tuple[QuestionKind, str], Head]
    affinity: Affinity

    def head(self, kind: QuestionKind, matched: bool) -> Head | None:
        """The head that answers: the one for such candidates, else the kind's other one, else the stand-in's."""
        wanted, other = (MATCHED, FLOOR) if matched else (FLOOR, MATCHED)
        found = self.heads.get((kind, wanted)) or self.heads.get((kind, other))
        if found is None and kind in STAND_INS:
            return self.head(STAND_INS[kind], matched)
        return found

    @property
    def kinds(self) -> tuple[QuestionKind, ...]:
        """The kinds that were fitted, always in the same order: it is part of a version's files and so of its hash."""
        fitted = {kind for kind, _ in self.heads}
        return tuple(kind for kind in get_args(QuestionKind) if kind in fitted)

    def to_files(self) -> dict[str, bytes]:
        """File name to content: text, JSON and plain arrays."""
        files = {AFFINITY_FILE: self.affinity.to_bytes()}
        names = {kind: EVIDENCE_NAMES[kind] for kind in self.kinds}
        files[NAMES_FILE] = json.dumps(names).encode()
        for (kind, drawn), head in self.heads.items():
            files |= head.to_files(f"{kind}.{drawn}")
        return files

    @classmethod
    def from_files(cls, files: dict[str, bytes], threads: int = 1) -> Self:
        """Inverse of `to_files`.

        Raises:
            RegistryError: if it was fitted on other evidence than this code gives.
        """
        heads: dict[tuple[QuestionKind, str], Head] = {}
        fitted_on = json.loads(files.get(NAMES_FILE, b"{}"))
        for kind in get_args(QuestionKind):
            for drawn in (MATCHED, FLOOR):
                if f"{kind}.{drawn}.json" not in files:
                    continue
                if tuple(fitted_on.get(kind, ())) != EVIDENCE_NAMES.get(kind):
                    raise RegistryError(f"{kind} was fitted on other evidence; train again")
                heads[kind, drawn] = Head.from_files(f"{kind}.{drawn}", files, threads)
        return cls(heads, Affinity.from_bytes(files[AFFINITY_FILE]))
