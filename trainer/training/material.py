"""Cases of the lake, asked and parted by time: what a model learns from, is calibrated on, and is measured on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from trainer.fit_evidence import LABELS_MIN, draw_cases, split_by_time
from trainer.tasks.cases import Case
from trainer.tasks.history import NotEnoughHistoryError, day_of
from trainer.tasks.workshop import WARM_UP_DAYS, Workshop
from trainer.training.config import TrainingConfig
from trainer.training.questions import Asked, Examiner
from twin_store.messages.decisions import QuestionKind


@dataclass(frozen=True)
class Parts:
    """One kind's cases, earliest first: no moment is in two."""

    fit: Asked
    calibrate: Asked
    last: Asked

    def of_segment(self, segment: str) -> Parts:
        """Of twins that were in a segment at the time."""
        return Parts(*(_of_segment(part, segment) for part in (self.fit, self.calibrate, self.last)))


def gather(
    workshop: Workshop,
    examiner: Examiner,
    config: TrainingConfig,
    say: Callable[[str], None] = lambda _: None,
) -> dict[QuestionKind, Parts]:
    """Every kind of the set-up that the period has cases of, drawn both as hard negatives and as on the shop floor.

    Raises:
        NotEnoughHistoryError: there are cases of none.
    """
    cases: dict[QuestionKind, list[Case]] = {}
    for (kind, _), found in draw_cases(
        workshop, config.effort, lambda drawn: drawn[0] in config.kinds
    ).items():
        cases.setdefault(kind, []).extend(found)
    parts: dict[QuestionKind, Parts] = {}
    for kind, found in cases.items():
        labels = [label for case in found for label in case.labels]
        if len(labels) < LABELS_MIN or len(set(labels)) < 2:
            say(f"{kind}: only {len(labels)} labels, or of one outcome; left out")
            continue
        try:
            parts[kind] = parted(examiner.ask(found))
        except ValueError as error:
            say(f"{kind}: left out, {error}")
            continue
        say(f"{kind}: {len(found):,} cases with {len(labels):,} labels")
    if not parts:
        raise NotEnoughHistoryError(
            f"no question kind of {', '.join(config.kinds)} has {LABELS_MIN} labels of both outcomes before "
            f"{day_of(workshop.end)} (the first {WARM_UP_DAYS} days only teach what is usual); replay or ingest "
            "more receipts, or choose a later date"
        )
    return parts


def parted(asked: Asked) -> Parts:
    """Raises `ValueError` if the cases are of too few moments or days."""
    fit, calibrate, last = (rows[asked.starts[:-1]] for rows in split_by_time(asked.table))
    return Parts(asked.where(fit), asked.where(calibrate), asked.where(last))


def by_drawing(asked: Asked) -> list[Asked]:
    """Hard negatives and cases of the shop floor apart, whichever there are."""
    matched = np.array([case.matched for case in asked.cases], dtype=bool)
    return [asked.where(keep) for keep in (matched, ~matched) if keep.any()]


def tables_of(parts: Mapping[QuestionKind, Parts]) -> dict[QuestionKind, np.ndarray]:
    """The evidence that is learnt from, by kind, for buckets to be fitted on."""
    return {kind: part.fit.table.evidence for kind, part in parts.items()}


def _of_segment(asked: Asked, segment: str) -> Asked:
    return asked.where(np.array([each == segment for each in asked.segments], dtype=bool))
