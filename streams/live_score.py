"""How good the answers have been so far, from the outcomes as they come."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Message

from streams.settings import Settings
from streams.tables import GlobalTable
from streams.topics import OUTCOMES

BINS = 1_000  # of the probability: AUC is exact up to ties within a thousandth
CALIBRATION_BINS = 10


class _Outcome(msgspec.Struct):
    """The fields of `Outcome` that a score needs."""

    kind: str
    void: bool = False
    truths: list[int] = []
    probabilities: list[float] = []


@dataclass(frozen=True)
class Score:
    """Of `n` probabilities with their truths: mean Brier score, AUC (None while all truths are alike), and
    expected calibration error over ten equal bins. `outcomes` counts answers, `void` those that settle nothing."""

    outcomes: int
    void: int
    n: int
    brier: float | None
    auc: float | None
    ece: float | None


class Tally:
    """Probabilities and truths, counted by bin: any number of them in the same memory."""

    def __init__(self) -> None:
        self.outcomes = 0
        self.void = 0
        self._counts = np.zeros((2, BINS), dtype=np.int64)
        self._sums = np.zeros(CALIBRATION_BINS)
        self._squares = 0.0

    def add(self, probabilities: list[float], truths: list[int]) -> None:
        """One settled answer: a probability and a truth an option."""
        self.outcomes += 1
        p, y = np.array(probabilities), np.array(truths, dtype=np.int64)
        bins = np.minimum((p * BINS).astype(np.int64), BINS - 1)
        np.add.at(self._counts, (y, bins), 1)
        np.add.at(self._sums, bins * CALIBRATION_BINS // BINS, p)
        self._squares += float(((p - y) ** 2).sum())

    def score(self) -> Score:
        """The score so far."""
        n = int(self._counts.sum())
        if n == 0:
            return Score(self.outcomes, self.void, 0, None, None, None)
        return Score(self.outcomes, self.void, n, round(self._squares / n, 5), self._auc(), self._ece(n))

    def _auc(self) -> float | None:
        negatives, positives = self._counts
        pairs = int(negatives.sum()) * int(positives.sum())
        if pairs == 0:
            return None
        below = np.cumsum(negatives) - negatives
        return round(float((positives * (below + negatives / 2)).sum()) / pairs, 4)

    def _ece(self, n: int) -> float:
        counts = self._counts.reshape(2, CALIBRATION_BINS, -1).sum(axis=2)
        return round(float(np.abs(self._sums - counts[1]).sum()) / n, 4)


class LiveScore:
    """Follows the outcomes topic from its beginning. `all` is the score over every kind, `kinds` of each."""

    def __init__(self, settings: Settings) -> None:
        self.all = Tally()
        self.kinds: dict[str, Tally] = {}
        self._decode = msgspec.json.Decoder(_Outcome).decode
        self._table = GlobalTable(settings, OUTCOMES, self._take)

    def load(self) -> None:
        """Read to the end of the topic. Raises `TwinsError` if Kafka does not answer."""
        self._table.load()

    def poll(self) -> None:
        """Take what has come, without waiting."""
        while self._table.poll():
            pass

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the console."""
        by_kind = {kind: asdict(tally.score()) for kind, tally in sorted(self.kinds.items())}
        return {"score": asdict(self.all.score()), "score_by_kind": by_kind}

    def close(self) -> None:
        """Stop reading."""
        self._table.close()

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            outcome = self._decode(message.value() or b"null")
            for tally in (self.all, self.kinds.setdefault(outcome.kind, Tally())):
                if outcome.void:
                    tally.outcomes += 1
                    tally.void += 1
                else:
                    tally.add(outcome.probabilities, outcome.truths)
