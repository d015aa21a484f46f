"""Item scores for every family: of a basket the mean of its products, of a voucher the sum of what it covers.

A score is made a probability by a line (or a temperature where one option is true) that is fitted on cases before the
split, so that a baseline's Brier score is not spoilt by its unit alone.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np

from trainer.calibration import Curve, Temperature
from trainer.fidelity.baselines.base import ItemScorer
from trainer.fidelity.baselines.baskets import Baskets
from trainer.fidelity.families import NEXT_BASKET
from trainer.fidelity.sheets import Sheet
from trainer.heads import ONE_IS_TRUE
from trainer.tasks.cases import Case

SMALL = 1e-6


class AskedRows:
    """What the cases of sheets ask about, as product numbers: looked up once for all who answer them."""

    def __init__(self, baskets: Baskets) -> None:
        self.baskets = baskets
        self._of_sheet: WeakKeyDictionary[Sheet, list[tuple[np.ndarray, ...]]] = WeakKeyDictionary()
        self._vouchers: dict[int, tuple[list[str], np.ndarray]] = {}  # one list for a whole audience

    def of(self, sheet: Sheet) -> list[tuple[np.ndarray, ...]]:
        """By case the product numbers of its candidates or vouchers, or of each of its baskets."""
        if sheet not in self._of_sheet:
            self._of_sheet[sheet] = [self._of_case(case) for case in sheet.asked]
        return self._of_sheet[sheet]

    def _of_case(self, case: Case) -> tuple[np.ndarray, ...]:
        subject = case.subject
        if case.kind == "trip_choice":
            return tuple(self._rows(basket) for basket in subject.baskets)
        if case.kind != "voucher_redemption":
            return (self._rows(subject.candidates),)
        skus = subject.voucher_skus
        if id(skus) not in self._vouchers:
            self._vouchers[id(skus)] = skus, self._rows(skus)  # held on to, so that the id stays its own
        return (self._vouchers[id(skus)][1],)

    def _rows(self, skus: list[str]) -> np.ndarray:
        return np.array([self.baskets.rows.get(sku, -1) for sku in skus], dtype=np.int64)


class ItemBaseline:
    """See the module and `SheetScorer`. `teaching` are sheets from before the split, one a kind and way of drawing."""

    def __init__(self, scorer: ItemScorer, rows: AskedRows, teaching: Sequence[Sheet]) -> None:
        self.name = scorer.name
        self._scorer = scorer
        self._rows = rows
        self._calibrations: dict[tuple[str, str], Curve | Temperature] = {}
        for sheet in teaching:
            scores = self._scores(sheet)
            if sheet.kind in ONE_IS_TRUE:
                self._calibrations[sheet.kind, sheet.drawn] = Temperature.fit(
                    scores, sheet.labels, sheet.cases
                )
            else:
                self._calibrations[sheet.kind, sheet.drawn] = Curve.fit_line(
                    scores, sheet.labels, sheet.weights
                )

    def probabilities(self, sheet: Sheet) -> np.ndarray | None:
        """See `SheetScorer`."""
        calibration = (
            None if sheet.family == NEXT_BASKET else self._calibrations.get((sheet.kind, sheet.drawn))
        )
        if calibration is None:
            return None
        scores = self._scores(sheet)
        if isinstance(calibration, Temperature):
            return calibration.apply(scores, sheet.cases)
        return calibration.apply(scores)

    def rankings(self, sheet: Sheet, k: int) -> list[list[str]]:
        """Of a next-basket sheet: the best `k` of all products for each case, equal ones by sku."""
        assert sheet.family == NEXT_BASKET
        skus = self._rows.baskets.skus
        found = []
        for case in sheet.asked:
            scores = self._scorer.scores(case.customer_id, case.as_of)
            # The least score that is among the best, and whatever is as good: equal ones go by sku.
            least = np.partition(scores, max(len(scores) - k, 0))[max(len(scores) - k, 0)]
            fits = np.flatnonzero(scores >= least)
            best = fits[np.argsort(-scores[fits], kind="stable")[:k]]
            found.append([skus[row] for row in best.tolist()])
        return found

    def _scores(self, sheet: Sheet) -> np.ndarray:
        """Log scores [n]: their range is too wide for a line otherwise."""
        found = [
            self._case_scores(case, rows)
            for case, rows in zip(sheet.asked, self._rows.of(sheet), strict=True)
        ]
        return np.log(np.concatenate(found) + SMALL)

    def _case_scores(self, case: Case, rows: tuple[np.ndarray, ...]) -> np.ndarray:
        scores = [self._scorer.scores(case.customer_id, case.as_of, each) for each in rows]
        if case.kind == "trip_choice":
            return np.array([each.mean() for each in scores])
        if case.kind == "voucher_redemption":
            return np.array([scores[0].sum()])
        return scores[0]
