"""The demographics-only twin: what is known of a household on paper, and nothing of what it buys.

For each attribute (age, income, ...) the receipts before the split tell how much oftener than everybody those who share
its value buy a product and its type. These lifts, with the product's popularity, are what the model is fitted on.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from trainer.boosting import fit_boosted
from trainer.calibration import Curve
from trainer.fidelity.sheets import Sheet
from trainer.fit_evidence import split_by_time
from trainer.tasks.cases import Case
from trainer.tasks.history import History
from trainer.tasks.table import Table
from twin_store.evidence import EVIDENCE_NAMES
from twin_store.lake import Lake

PRIOR_LINES = 200.0  # lines that everybody's share counts for against that of a value
KINDS = ("purchase", "promotion_response")
OF_PRODUCT = ("popularity_1", "popularity_2", "popularity_4", "popularity_8", "price", "display", "mailer")


class Demographics:
    """By customer her attributes' values, and by value how much oftener than everybody its households buy."""

    def __init__(self, lake: Lake, history: History) -> None:
        """`history` ends at the split."""
        frame = lake.scan_customers().select("customer_id", "demographics").collect()
        self._of = {
            customer: {name: str(value) for name, value in json.loads(text or "{}").items()}
            for customer, text in frame.iter_rows()
        }
        self.attributes = sorted({name for values in self._of.values() for name in values})
        sold = history.lines.filter((pl.col("kind") == "sale") & pl.col("sku").is_not_null())
        types = history.catalogue.select(
            "sku", pl.concat_str("section", "item_type", separator="/", ignore_nulls=True).alias("type")
        )
        joined = sold.select("customer_id", "sku").join(types, on="sku", how="left")
        self._type_of: Mapping[str, str] = dict(types.iter_rows())
        self._lifts: dict[tuple[str, str, str, str], float] = {}
        for attribute in self.attributes:
            values = pl.DataFrame(
                [(c, v[attribute]) for c, v in self._of.items() if attribute in v],
                schema={"customer_id": pl.String, "value": pl.String},
                orient="row",
            )
            known = joined.join(values, on="customer_id")
            for level in ("sku", "type"):
                self._add_lifts(known, attribute, level)

    def row(self, customer_id: str, sku: str) -> list[float]:
        """The lift of each attribute at both levels, NaN where her value or the product is not known."""
        values = self._of.get(customer_id, {})
        names = {"sku": sku, "type": self._type_of.get(sku, "")}
        return [
            self._lifts.get((attribute, level, values.get(attribute, ""), name), float("nan"))
            for attribute in self.attributes
            for level, name in names.items()
        ]

    def _add_lifts(self, known: pl.DataFrame, attribute: str, level: str) -> None:
        counts = known.group_by("value", level).len()
        by_value = dict(known.group_by("value").len().iter_rows())
        by_name = dict(known.group_by(level).len().iter_rows())
        everything = known.height
        for value, name, count in counts.iter_rows():
            usual = by_name[name] / everything
            share = (count + PRIOR_LINES * usual) / (by_value[value] + PRIOR_LINES)
            self._lifts[attribute, level, value, name] = float(np.log(share / usual))


class DemographicScorer:
    """See the module and `SheetScorer`: a LightGBM for questions about products, none for other kinds."""

    name = "demographics only"

    def __init__(self, demographics: Demographics, teaching: Mapping[str, tuple[list[Case], Table]]) -> None:
        """`teaching`: by kind, matched cases from before the split with their table, in the same order."""
        self._demographics = demographics
        self._models: dict[str, tuple[Any, Curve]] = {}
        for kind, (cases, table) in teaching.items():
            if kind not in KINDS:
                continue
            narrow = Table(
                table.kind,
                self._rows(kind, cases, table.evidence),
                table.labels,
                table.weights,
                table.cases,
                table.seconds,
                table.matched,
            )
            fit, calibrate, last = split_by_time(narrow)
            rows, later = narrow.where(fit), narrow.where(calibrate | last)
            model = fit_boosted(rows.evidence, rows.labels, rows.weights, seed=1)
            if model is not None:
                curve = Curve.fit(model.scores(later.evidence), later.labels, later.weights)
                self._models[kind] = model, curve

    def probabilities(self, sheet: Sheet) -> np.ndarray | None:
        """See `SheetScorer`."""
        if sheet.kind not in self._models or sheet.drawn != "matched":
            return None
        model, curve = self._models[sheet.kind]
        return curve.apply(model.scores(self._rows(sheet.kind, sheet.asked, sheet.evidence)))

    def _rows(self, kind: str, cases: list[Case], evidence: np.ndarray) -> np.ndarray:
        names = EVIDENCE_NAMES[kind]
        lifts = [
            self._demographics.row(case.customer_id, sku) for case in cases for sku in case.subject.candidates
        ]
        columns = [names.index(name) for name in OF_PRODUCT]
        return np.hstack((np.array(lifts, dtype=np.float32), evidence[:, columns]))
