"""One fitted answer to one kind of question: a score from evidence, and its calibration to a probability.

The score is the log odds of LightGBM, of logistic regression, or their mean, whichever foretold the calibration
slice best. Where several options may be true at once a curve calibrates, where exactly one is a temperature.

The logistic model has a calibration of its own beside, so that it can answer alone where LightGBM is missing.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from trainer.boosting import Boosted, fit_boosted
from trainer.calibration import Curve, Temperature
from trainer.certainty import Certainty
from trainer.evaluation import log_loss
from trainer.logistic import Logistic
from trainer.segment_calibration import SegmentLines
from trainer.tasks.table import Table
from twin_store.evidence import EVIDENCE_NAMES
from twin_store.messages.decisions import QuestionKind
from twin_store.segments import load_definitions

ONE_IS_TRUE: tuple[QuestionKind, ...] = ("basket_completion", "trip_choice")
# Trees of completions are grown on the softmax of their options: .627 hit rate against .611. Two baskets are not.
OPTIONS_TOGETHER: tuple[QuestionKind, ...] = ("basket_completion",)
REFIT_ROUNDS = 1.1  # trees on all rows to one on the rows that models are chosen on
MIXES = (0.0, 0.5, 1.0)  # share of the booster in the score
NO_LIGHTGBM = "LightGBM is not installed here: answered by the logistic model"


@dataclass(frozen=True)
class Head:
    """A fitted head.

    Attributes:
        mix: the booster's share in the score; `boosted` is None where that is 0.
        calibration: of the mixed score.
        logistic_calibration: of the logistic model's score alone.
        certainty: how many answers each probability rests on; None in versions from before there was one.
        by_segment: what the segments of customers have of their own on top of `calibration`; None where none has.
    """

    kind: QuestionKind
    logistic: Logistic
    boosted: Boosted | None
    mix: float
    calibration: Curve | Temperature
    logistic_calibration: Curve | Temperature
    certainty: Certainty | None = None
    by_segment: SegmentLines | None = None

    @classmethod
    def fit(cls, rows: Table, later: Table, seed: int, threads: int = 1) -> Self:
        """Fit on `rows`, choose the mix and calibrate on `later`; both in order of time.

        Raises:
            ValueError: if one of the two has only one outcome.
        """
        for part, table in (("fit", rows), ("calibrate", later)):
            if len(np.unique(table.labels)) < 2:
                raise ValueError(f"the rows to {part} on have one outcome only")
        models = _fit_models(rows, seed, threads)
        logistic = models[0].scores(later.evidence)
        boosted = None if models[1] is None else models[1].scores(later.evidence)
        mix = _best_mix(logistic, boosted, later)
        calibration = _calibrate(_mixed(logistic, boosted, mix), later)
        alone = _calibrate(logistic, later)
        head = cls(rows.kind, models[0], models[1] if mix > 0 else None, mix, calibration, alone)
        scores = _mixed(logistic, boosted, mix)
        head = replace(head, by_segment=_lines_of_segments(head.probabilities(scores, later.cases), later))
        said = head.probabilities(scores, later.cases, later.segments)
        return replace(head, certainty=Certainty.fit(said, later.weights, later.column("trips")))

    def refitted(self, rows: Table, seed: int, threads: int = 1) -> Self:
        """The same mix and calibrations over models fitted anew on these rows, with about as many trees."""
        rounds = None if self.boosted is None or self.degraded else int(REFIT_ROUNDS * self.boosted.rounds)
        logistic, boosted = _fit_models(rows, seed, threads, rounds)
        if boosted is None or self.mix == 0:
            return replace(self, logistic=logistic).logistic_alone()
        return replace(self, logistic=logistic, boosted=boosted)

    def logistic_alone(self) -> Self:
        """The head that answers where LightGBM is missing."""
        return replace(self, boosted=None, mix=0.0, calibration=self.logistic_calibration, by_segment=None)

    @property
    def degraded(self) -> str | None:
        """Why the answers are not those that were chosen when it was fitted, None if they are."""
        return NO_LIGHTGBM if self.boosted is not None and not self.boosted.is_usable else None

    def scores(self, evidence: np.ndarray) -> np.ndarray:
        """Log odds before calibration [n]."""
        if self.boosted is None or self.degraded:
            return self.logistic.scores(evidence)
        boosted = self.boosted.scores(evidence)
        return boosted if self.mix == 1 else _mixed(self.logistic.scores(evidence), boosted, self.mix)

    def probabilities(
        self, scores: np.ndarray, cases: np.ndarray, segments: np.ndarray | None = None
    ) -> np.ndarray:
        """Calibrated [n]; rows of one case stand together.

        `segments` are the names of the customers' [n]. Without them, as where a segment has nothing of its own, the
        calibration of the kind is all.
        """
        is_degraded = self.degraded is not None
        calibration = self.logistic_calibration if is_degraded else self.calibration
        if isinstance(calibration, Temperature):
            found = calibration.apply(scores, cases)
        else:
            found = calibration.apply(scores)
        if self.by_segment is None or segments is None or is_degraded:
            return found
        return self.by_segment.apply(found, cases, segments, self.kind in ONE_IS_TRUE)

    def intervals(self, probabilities: np.ndarray, evidence: np.ndarray) -> list[tuple[float, float]]:
        """A 95 % interval of each probability (`trainer.certainty`); none where the version has no certainty."""
        if self.certainty is None:
            return []
        trips = evidence[:, EVIDENCE_NAMES[self.kind].index("trips")]
        lows, highs = self.certainty.intervals(probabilities, trips)
        return list(zip(lows.tolist(), highs.tolist(), strict=True))

    def to_files(self, name: str) -> dict[str, bytes]:
        """File name to content."""
        described = {
            "kind": self.kind,
            "mix": self.mix,
            "logistic": self.logistic.to_json(),
            "calibration": self.calibration.to_json(),
            "logistic_calibration": self.logistic_calibration.to_json(),
            "certainty": None if self.certainty is None else self.certainty.to_json(),
            "by_segment": None if self.by_segment is None else self.by_segment.to_json(),
        }
        files = {f"{name}.json": json.dumps(described).encode()}
        if self.boosted is not None:
            files[f"{name}.lightgbm.txt"] = self.boosted.text.encode()
        return files

    @classmethod
    def from_files(cls, name: str, files: dict[str, bytes], threads: int = 1) -> Self:
        """Inverse of `to_files`. Raises `KeyError` if a file is missing."""
        described: dict[str, Any] = json.loads(files[f"{name}.json"])
        text = files[f"{name}.lightgbm.txt"].decode() if described["mix"] > 0 else None
        calibrate = Temperature.from_json if described["kind"] in ONE_IS_TRUE else Curve.from_json
        return cls(
            described["kind"],
            Logistic.from_json(described["logistic"]),
            None if text is None else Boosted(text, threads),
            described["mix"],
            calibrate(described["calibration"]),
            calibrate(described["logistic_calibration"]),
            None if not described.get("certainty") else Certainty.from_json(described["certainty"]),
            None if not described.get("by_segment") else SegmentLines.from_json(described["by_segment"]),
        )


def _fit_models(
    rows: Table, seed: int, threads: int, rounds: int | None = None
) -> tuple[Logistic, Boosted | None]:
    logistic = Logistic.fit(rows.evidence, rows.labels, rows.weights)
    cases = rows.cases if rows.kind in OPTIONS_TOGETHER else None
    return logistic, fit_boosted(rows.evidence, rows.labels, rows.weights, seed, threads, rounds, cases)


def _best_mix(logistic: np.ndarray, boosted: np.ndarray | None, later: Table) -> float:
    """The mix with the least log loss after a plain calibration of its own."""
    if boosted is None:
        return 0.0
    losses = []
    for mix in MIXES:
        scores = _mixed(logistic, boosted, mix)
        if later.kind in ONE_IS_TRUE:
            found = Temperature.fit(scores, later.labels, later.cases).apply(scores, later.cases)
        else:
            found = Curve.fit_line(scores, later.labels, later.weights).apply(scores)
        losses.append(log_loss(later.labels, found, later.weights))
    return MIXES[int(np.argmin(losses))]


def _calibrate(scores: np.ndarray, later: Table) -> Curve | Temperature:
    if later.kind in ONE_IS_TRUE:
        return Temperature.fit(scores, later.labels, later.cases)
    return Curve.fit(scores, later.labels, later.weights)


def _lines_of_segments(probabilities: np.ndarray, later: Table) -> SegmentLines | None:
    """What the segments get of their own; None where nobody looked for segments, or none gains by it."""
    if later.segments is None:
        return None
    found = SegmentLines.fit(
        load_definitions().name,
        probabilities,
        later.labels,
        later.weights,
        later.cases,
        later.segments,
        later.kind in ONE_IS_TRUE,
    )
    return found if found.lines else None


def _mixed(logistic: np.ndarray, boosted: np.ndarray | None, mix: float) -> np.ndarray:
    return logistic if boosted is None else np.asarray(mix * boosted + (1 - mix) * logistic)
