"""The two sorts of baselines: one scores any product for a customer, the other is fitted on rows of evidence."""

from typing import Protocol

import numpy as np

from trainer.fidelity.sheets import Sheet


class ItemScorer(Protocol):
    """How likely a customer is to buy each product, in no particular unit: more is likelier."""

    @property
    def name(self) -> str:
        """As the report has it."""

    def scores(self, customer_id: str, as_of: int, rows: np.ndarray | None = None) -> np.ndarray:
        """Of the products asked about, as numbers into `Baskets.skus`: float [m]; of all without `rows`.

        Products that nobody ever bought, of number -1, get 0. Reads nothing after `as_of` (epoch seconds).
        """


class SheetScorer(Protocol):
    """Whoever gives a probability to each row of a sheet."""

    @property
    def name(self) -> str:
        """As the report has it."""

    def probabilities(self, sheet: Sheet) -> np.ndarray | None:
        """[n], None for a family that it cannot answer."""
