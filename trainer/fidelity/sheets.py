"""A family's cases as rows: what was asked about, its evidence and its truth. Everybody answers the same rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainer.fidelity.answers import Ranker
from trainer.fidelity.families import NEXT_BASKET
from trainer.fidelity.frozen import FrozenCase
from trainer.fidelity.known import Known
from trainer.fitted import FLOOR, MATCHED
from trainer.tasks.cases import Case
from trainer.tasks.table import Table
from twin_store.affinity import Affinity
from twin_store.evidence import EVIDENCE_NAMES, EvidenceReader
from twin_store.messages.decisions import QuestionKind
from twin_store.segments import load_definitions, segment_of


@dataclass(frozen=True, eq=False)
class Sheet:
    """The rows of one family, case by case.

    Attributes:
        frozen: the cases with their truths.
        asked: the cases as a decider is asked them; a next basket's candidates are proposals.
        evidence: float32 [n, F] as `EVIDENCE_NAMES[kind]`.
        labels, weights, cases, customers: [n]; `cases` numbers `asked`.
        regular: [n] whether she had bought the candidate in the last 53 weeks.
        segments: [n] the segment of the twin that answers, as of the case.
    """

    family: str
    kind: QuestionKind
    drawn: str
    asked: list[Case]
    frozen: list[FrozenCase]
    evidence: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    cases: np.ndarray
    customers: np.ndarray
    regular: np.ndarray
    segments: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def fill_sheet(
    known: Known,
    frozen: Sequence[FrozenCase],
    affinity: Affinity,
    stale_days: int = 0,
    customers: Sequence[str] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Sheet:
    """The sheet of cases of one family.

    Args:
        affinity: fitted before the first of the cases.
        stale_days: see `Replay.twins`.
        customers: whose twins answer, in place of the cases' own.
    """
    family = frozen[0].family
    asked = [known.case_of(each.asked) for each in frozen]
    swapped = (
        asked if customers is None else [_of(case, who) for case, who in zip(asked, customers, strict=True)]
    )
    ranker = Ranker(known)
    definitions = load_definitions()
    segments = [""] * len(asked)
    rows: dict[int, np.ndarray] = {}
    readers: dict[int, EvidenceReader] = {}
    for done, (i, twin) in enumerate(known.replay.twins(swapped, stale_days), start=1):
        if family == NEXT_BASKET:
            asked[i] = ranker.question(frozen[i].asked, asked[i], twin)
        segments[i] = segment_of(twin, asked[i].as_of, definitions)
        catalogue = known.catalogue_at(asked[i].as_of)
        if catalogue not in readers:
            readers[catalogue] = EvidenceReader(known.products_at(asked[i].as_of), affinity)
        if asked[i].subject.candidates or family != NEXT_BASKET:
            rows[i] = readers[catalogue].read(asked[i].question, twin).astype(np.float32)
        else:
            rows[i] = np.zeros((0, len(EVIDENCE_NAMES["purchase"])), dtype=np.float32)
        if done % 5_000 == 0:
            progress(done)
    return _sheet(family, asked, list(frozen), [rows[i] for i in range(len(asked))], segments)


def sheet_of_taught(cases: Sequence[Case], table: Table, rows_max: int) -> Sheet:
    """The newest of the cases that a head is fitted on, as a sheet without frozen cases."""
    counts = np.array([len(case.labels) for case in cases])
    first = int(np.searchsorted(np.cumsum(counts[::-1]), rows_max)) + 1
    kept = list(cases[-first:])
    rows = int(counts[-first:].sum())
    return Sheet(
        table.kind,
        table.kind,
        MATCHED if kept[0].matched else FLOOR,
        kept,
        [],
        table.evidence[-rows:],
        table.labels[-rows:],
        table.weights[-rows:],
        np.repeat(np.arange(len(kept)), counts[-first:]),
        np.repeat(np.array([case.customer_id for case in kept]), counts[-first:]),
        np.zeros(rows, dtype=bool),
        np.full(rows, "") if table.segments is None else table.segments[-rows:],
    )


def _sheet(
    family: str, asked: list[Case], frozen: list[FrozenCase], rows: list[np.ndarray], segments: list[str]
) -> Sheet:
    kind = asked[0].kind
    counts = [len(each) for each in rows]
    evidence = np.concatenate(rows)
    labels = [
        [int(sku in each.bought) for sku in case.subject.candidates] if family == NEXT_BASKET else each.labels
        for case, each in zip(asked, frozen, strict=True)
    ]
    weights = [each.weights or (1.0,) * count for each, count in zip(frozen, counts, strict=True)]
    names = EVIDENCE_NAMES[kind]
    regular = np.zeros(len(evidence), dtype=bool)
    if "item_days" in names:
        regular = evidence[:, names.index("item_days")] > 0
    return Sheet(
        family,
        kind,
        MATCHED if asked[0].matched else FLOOR,
        asked,
        frozen,
        evidence,
        np.array([label for of_case in labels for label in of_case], dtype=np.int64),
        np.array([weight for of_case in weights for weight in of_case]),
        np.repeat(np.arange(len(asked)), counts),
        np.repeat(np.array([each.asked.customer_id for each in frozen]), counts),
        regular,
        np.repeat(np.array(segments), counts),
    )


def _of(case: Case, customer_id: str) -> Case:
    return replace(case, customer_id=customer_id)
