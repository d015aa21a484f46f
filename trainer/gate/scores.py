"""What two deciders said of the same decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scores:
    """Held-out decisions of one kind, a row an option that may come true, with two deciders' probabilities.

    Attributes:
        kind: of question.
        truths: 0/1 [n].
        champion, challenger: probabilities [n].
        weights: how many questions each row stands for [n].
        cases: number of the case [n]; rows of one case stand together.
        customers: who was asked [n].
        one_is_true: of a case's rows exactly one is, as of a basket to complete.
    """

    kind: str
    truths: np.ndarray
    champion: np.ndarray
    challenger: np.ndarray
    weights: np.ndarray
    cases: np.ndarray
    customers: np.ndarray
    one_is_true: bool = False

    def __post_init__(self) -> None:
        """Raises `ValueError` for rows that do not fit together, or probabilities that are none."""
        columns = (self.champion, self.challenger, self.weights, self.cases, self.customers)
        if any(len(column) != len(self.truths) for column in columns):
            raise ValueError(f"{self.kind}: champion and challenger were not asked the same decisions")
        for said in (self.champion, self.challenger):
            if not (np.isfinite(said).all() and (said >= 0).all() and (said <= 1).all()):
                raise ValueError(f"{self.kind}: what was said is no probability")

    def __len__(self) -> int:
        return len(self.truths)
