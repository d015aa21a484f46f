"""What a model says to the cases of a history, and how that becomes probabilities that hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.calibration import Curve, Temperature
from trainer.deciders.language.served import LEAST, OPTIONS, calibrated
from trainer.deciders.vllm.tokens import ModelTokens
from trainer.newton import log_odds
from trainer.tasks.table import Table
from trainer.training.encoded import Encoded
from trainer.training.examples import Example, examples_of
from trainer.training.questions import Asked, Examiner
from trainer.training.scoring import answer_shares
from twin_store.prompts import Buckets


class Listener:
    """Hears what a model says to the cases of a history, before any calibration."""

    def __init__(self, model: Any, examiner: Examiner, buckets: Buckets, tokens: ModelTokens) -> None:
        self.tokens_max = int(model.config.max_position_embeddings)
        self._model = model
        self._examiner = examiner
        self._buckets = buckets
        self._tokens = tokens

    def examples(self, asked: Asked) -> list[Example]:
        """The prompts of cases with their truths."""
        return list(examples_of(self._examiner, asked, self._buckets))

    def raw(self, asked: Asked) -> np.ndarray:
        """Probabilities by row of the table; of trips, which are asked both ways round, the mean."""
        examples = self.examples(asked)
        shares = answer_shares(self._model, Encoded.of(examples, self._tokens, self.tokens_max))
        total, times = np.zeros(len(asked.table)), np.zeros(len(asked.table))
        for each, share in zip(examples, shares, strict=True):
            for place, row in enumerate(each.rows):
                total[row] += share[place]
                times[row] += 1
        return np.asarray(total / np.maximum(times, 1))


def calibration_of(table: Table, raw: np.ndarray) -> Curve | Temperature:
    """From what a model says to probabilities that hold, by cases that it has not seen."""
    if table.kind in OPTIONS:
        return Temperature.fit(np.log(np.clip(raw, LEAST, 1 - LEAST)), table.labels, table.cases)
    return Curve.fit(log_odds(raw, LEAST), table.labels, table.weights)


def calibrated_rows(fitted: Curve | Temperature, table: Table, raw: np.ndarray) -> np.ndarray:
    """As serving calibrates, by row."""
    said = [
        calibrated({table.kind: fitted}, table.kind, part.tolist())
        for part in np.split(raw, np.flatnonzero(np.diff(table.cases)) + 1)
    ]
    return np.array([p for case in said for p in case])
