"""Cases as numbers: the evidence of each candidate, basket or campaign with its label."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.tasks.cases import Case
from trainer.tasks.replay import Replay
from twin_store.evidence import EVIDENCE_NAMES, EvidenceReader
from twin_store.messages.decisions import QuestionKind
from twin_store.segments import load_definitions, segment_of

PROGRESS_EVERY = 20_000


@dataclass(frozen=True)
class Table:
    """One kind of question. A row a label; rows of one case stand together.

    Attributes:
        evidence: float32 (or float64, see `build_table`) [n, F], columns as `EVIDENCE_NAMES[kind]`, NaN where missing.
        labels, weights: [n].
        cases: [n] the number of the case, ascending.
        seconds: [n] when it was asked.
        matched: [n] see `Case.matched`.
        segments: [n] the name of the segment that the twin was in; None where nobody looked.
    """

    kind: QuestionKind
    evidence: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    cases: np.ndarray
    seconds: np.ndarray
    matched: np.ndarray
    segments: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, rows: np.ndarray) -> "Table":
        """The rows where the mask is true."""
        return Table(
            self.kind,
            evidence=self.evidence[rows],
            labels=self.labels[rows],
            weights=self.weights[rows],
            cases=self.cases[rows],
            seconds=self.seconds[rows],
            matched=self.matched[rows],
            segments=None if self.segments is None else self.segments[rows],
        )

    def column(self, name: str) -> np.ndarray:
        """One number of the evidence, of every row."""
        return self.evidence[:, EVIDENCE_NAMES[self.kind].index(name)]


def build_table(
    cases: Sequence[Case],
    replay: Replay,
    reader_at: Callable[[int], EvidenceReader],
    stale_days: int = 0,
    progress: Callable[[int], None] = lambda done: None,
    exact: bool = False,
) -> Table:
    """The table of cases of one kind.

    Args:
        cases: at least one, all of one kind.
        replay: whose twins answer.
        reader_at: the reader that may be used at a moment; its fitted tables must be older than that.
        stale_days: see `Replay.twins`.
        progress: told how many cases are done, now and then.
        exact: keep the evidence in float64, as it is read: a value on a bucket's edge must not move.
    """
    kind = cases[0].kind
    counts = np.array([len(case.labels) for case in cases])
    ends = np.cumsum(counts)
    definitions = load_definitions()
    segments = [""] * len(cases)
    evidence = np.empty((int(ends[-1]), len(EVIDENCE_NAMES[kind])), dtype=np.float64 if exact else np.float32)
    for done, (i, twin) in enumerate(replay.twins(cases, stale_days), start=1):
        reader = reader_at(cases[i].as_of)
        evidence[ends[i] - counts[i] : ends[i]] = reader.read(cases[i].question, twin)
        segments[i] = segment_of(twin, cases[i].as_of, definitions)
        if done % PROGRESS_EVERY == 0:
            progress(done)
    return Table(
        kind,
        evidence,
        np.array([label for case in cases for label in case.labels], dtype=np.int64),
        np.array([weight for case in cases for weight in case.weights]),
        np.repeat(np.arange(len(cases)), counts),
        np.repeat(np.array([case.as_of for case in cases]), counts),
        np.repeat(np.array([case.matched for case in cases]), counts),
        np.repeat(np.array(segments), counts),
    )
