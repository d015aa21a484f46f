"""A LightGBM fitted on some of the evidence: the plain one, and what an ablation leaves."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from trainer.boosting import Boosted, fit_boosted
from trainer.calibration import Curve, Temperature
from trainer.fidelity.sheets import Sheet
from trainer.fit_evidence import split_by_time
from trainer.heads import ONE_IS_TRUE, OPTIONS_TOGETHER, REFIT_ROUNDS
from trainer.tasks.table import Table
from twin_store.evidence import EVIDENCE_NAMES
from twin_store.messages.decisions import QuestionKind

Teaching = Mapping[tuple[QuestionKind, str], Table]
"""Tables to fit on, by kind and by how candidates are drawn."""


def columns_of(kind: QuestionKind, keep: Callable[[str], bool]) -> np.ndarray:
    """The numbers of the columns whose names are kept."""
    return np.flatnonzero([keep(name) for name in EVIDENCE_NAMES[kind]])


def narrowed(table: Table, columns: np.ndarray) -> Table:
    """The same rows with some of the columns."""
    return replace(table, evidence=np.ascontiguousarray(table.evidence[:, columns]))


Fit = Callable[[Table, int | None], Boosted | None]
"""A model of these rows: with so many trees on all of them, or as many as foretell the last ones best."""


class PlainScorer:
    """One library's model on some of the columns, with a plain calibration. See `SheetScorer`."""

    def __init__(self, name: str, teaching: Teaching, keep: Callable[[str], bool], fit: Fit) -> None:
        self.name = name
        self._keep = keep
        self._models: dict[tuple[QuestionKind, str], tuple[Boosted, Curve | Temperature]] = {}
        for (kind, drawn), table in teaching.items():
            narrow = narrowed(table, columns_of(kind, keep))
            rows, calibrate, last = split_by_time(narrow)
            model = fit(narrow.where(rows), None)
            if model is None:
                continue
            later = narrow.where(calibrate | last)
            calibration = _calibration(model.scores(later.evidence), later)
            # Once more on all rows, as the evidence decider is.
            again = fit(narrow, int(REFIT_ROUNDS * model.rounds))
            self._models[kind, drawn] = again or model, calibration

    def probabilities(self, sheet: Sheet) -> np.ndarray | None:
        """See `SheetScorer`."""
        found = self._models.get((sheet.kind, sheet.drawn))
        if found is None:
            return None
        model, calibration = found
        scores = model.scores(sheet.evidence[:, columns_of(sheet.kind, self._keep)])
        if isinstance(calibration, Temperature):
            return calibration.apply(scores, sheet.cases)
        return calibration.apply(scores)


def fit_lightgbm(table: Table, rounds: int | None = None) -> Boosted | None:
    """LightGBM as the evidence decider has it."""
    cases = table.cases if table.kind in OPTIONS_TOGETHER else None
    return fit_boosted(table.evidence, table.labels, table.weights, 1, rounds=rounds, cases=cases)


def _calibration(scores: np.ndarray, later: Table) -> Curve | Temperature:
    if later.kind in ONE_IS_TRUE:
        return Temperature.fit(scores, later.labels, later.cases)
    return Curve.fit(scores, later.labels, later.weights)


_PLAIN_PARTS = (
    "_days", "_since", "_trips_since", "_interval", "_share", "_share_month", "_share_quarter", "_last_interval",
)  # fmt: skip
_PLAIN = {
    "item_units", "item_of_type", "item_of_section", "brand_share", "type_kinds", "trips", "trips_month",
    "trip_since", "trip_interval", "basket_lines", "basket_spend", "tenure", "variety", "deal_share", "price",
    "price_to_usual", "popularity_1", "popularity_2", "popularity_4", "popularity_8", "weeks_sold",
    "product_deal_share", "own_brand", "display", "mailer", "store_lists", "store_share", "basket_size",
    "basket_affinity", "basket_has_type", "basket_has_section", "items", "size_ratio", "spend_ratio",
    "known_share", "known_items", "known_types", "known_sections", "item_share", "item_share_best",
    "item_share_month", "item_since", "popularity", "campaign_days", "voucher_items", "voucher_known",
    "voucher_days", "voucher_since", "voucher_lines", "coupon_lines", "coupon_days", "coupon_since",
    "spend_month",
}  # fmt: skip


def is_plain(name: str) -> bool:
    """Recency, frequency, the household's tempo, popularity and price: no fitted table, no due-ness."""
    level = name.partition("_")[0]
    return name in _PLAIN or (level in ("item", "type", "section") and name[len(level) :] in _PLAIN_PARTS)
