"""Item scores for every family: of a basket the mean of its products, of a voucher the sum of what it covers.

A score is made a probability by a line (or a temperature where one option is true) that is fitted on cases before the
split, so that a baseline's Brier score is not spoilt by its unit alone.
"""

import numpy as np

from trainer.calibration import Curve, Temperature
from trainer.fidelity.baselines.base import ItemScorer
from trainer.fidelity.baselines.baskets import Baskets
from trainer.fidelity.families import NEXT_BASKET
from trainer.fidelity.sheets import Sheet
from trainer.heads import ONE_IS_TRUE
from trainer.tasks.cases import Case

SMALL = 1e-6


class ItemBaseline:
    """See the module and `SheetScorer`. `teaching` are sheets from before the split, by family."""

    def __init__(self, scorer: ItemScorer, baskets: Baskets, teaching: dict[str, Sheet]) -> None:
        self.name = scorer.name
        self._scorer = scorer
        self._baskets = baskets
        self._calibrations: dict[str, Curve | Temperature] = {}
        for family, sheet in teaching.items():
            scores = self._scores(sheet)
            if sheet.kind in ONE_IS_TRUE:
                self._calibrations[family] = Temperature.fit(scores, sheet.labels, sheet.cases)
            else:
                self._calibrations[family] = Curve.fit_line(scores, sheet.labels, sheet.weights)

    def probabilities(self, sheet: Sheet) -> np.ndarray | None:
        """See `SheetScorer`."""
        calibration = self._calibrations.get(sheet.family)
        if calibration is None:
            return None
        scores = self._scores(sheet)
        if isinstance(calibration, Temperature):
            return calibration.apply(scores, sheet.cases)
        return calibration.apply(scores)

    def rankings(self, sheet: Sheet, k: int) -> list[list[str]]:
        """Of a next-basket sheet: the best `k` of all products for each case, equal ones by sku."""
        assert sheet.family == NEXT_BASKET
        found: dict[int, list[str]] = {}
        for i in _by_customer(sheet.asked):
            case = sheet.asked[i]
            scores = self._scorer.scores(case.customer_id, case.as_of)
            best = np.argsort(-scores, kind="stable")[:k]
            found[i] = [self._baskets.skus[row] for row in best.tolist()]
        return [found[i] for i in range(len(sheet.asked))]

    def _scores(self, sheet: Sheet) -> np.ndarray:
        """Log scores [n]: their range is too wide for a line otherwise."""
        rows = {i: self._case_scores(sheet.asked[i]) for i in _by_customer(sheet.asked)}
        return np.log(np.concatenate([rows[i] for i in range(len(sheet.asked))]) + SMALL)

    def _case_scores(self, case: Case) -> np.ndarray:
        scores = self._scorer.scores(case.customer_id, case.as_of)
        subject = case.subject
        if case.kind == "trip_choice":
            return np.array([self._of(scores, basket).mean() for basket in subject.baskets])
        if case.kind == "voucher_redemption":
            return np.array([self._of(scores, subject.voucher_skus).sum()])
        return self._of(scores, subject.candidates)

    def _of(self, scores: np.ndarray, skus: list[str]) -> np.ndarray:
        rows = np.array([self._baskets.rows.get(sku, -1) for sku in skus], dtype=np.int64)
        return np.where(rows >= 0, scores[rows], 0.0)


def _by_customer(cases: list[Case]) -> list[int]:
    """The numbers of the cases, customer by customer."""
    return sorted(range(len(cases)), key=lambda i: cases[i].customer_id)
