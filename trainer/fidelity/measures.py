"""What answers to a sheet are worth: by family, in parts, with intervals by customer."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer.evaluation import auc, brier, ece, reliability
from trainer.fidelity.bootstrap import Draws, middle
from trainer.fidelity.families import NEXT_BASKET
from trainer.fidelity.sheets import Sheet
from trainer.heads import ONE_IS_TRUE

ROC_POINTS = 40
K = 10  # recall and NDCG are of the first so many


@dataclass(frozen=True, eq=False)
class Measured:
    """One decider on one sheet.

    Attributes:
        headline: the name of the measure that families are compared by: `auc`, `hit_rate` or `recall_at_10`.
        values: by name.
        interval: 95 % of the headline.
        draws: the headline in each bootstrap draw, for comparison in pairs.
        curve: calibration, as `reliability`.
        roc: (share of the untrue that is above, share of the true) from the surest down; empty where options compete.
    """

    headline: str
    values: dict[str, float | int]
    interval: tuple[float, float]
    draws: np.ndarray
    curve: list[tuple[float, float, float]] = field(default_factory=list)
    roc: list[tuple[float, float]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Without the draws."""
        return {
            "headline": self.headline,
            **self.values,
            "interval": list(self.interval),
            "curve": [list(point) for point in self.curve],
            "roc": [list(point) for point in self.roc],
        }


def measure_probabilities(sheet: Sheet, p: np.ndarray, draws: Draws) -> Measured:
    """The measures of probabilities [n], as the sheet's kind has them."""
    if sheet.kind in ONE_IS_TRUE:
        return _one_is_true(sheet, p, draws)
    truths, weights = sheet.labels, sheet.weights
    values: dict[str, float | int] = {
        "n": len(sheet),
        "auc": auc(truths, p, weights),
        "accuracy": float(np.average((p >= 0.5) == truths, weights=weights)),
        "brier": brier(truths, p, weights),
        "ece": ece(truths, p, weights),
        "base_rate": float(np.average(truths, weights=weights)),
    }
    for name, rows in (("bought_before", sheet.regular), ("new", ~sheet.regular)):
        if sheet.kind != "voucher_redemption" and len(np.unique(truths[rows])) == 2:
            values[f"auc_{name}"] = auc(truths[rows], p[rows], weights[rows])
    found = draws.aucs(truths, p, weights)
    curve = reliability(truths, p, weights)
    return Measured("auc", values, middle(found), found, curve, roc_points(truths, p, weights))


def _one_is_true(sheet: Sheet, p: np.ndarray, draws: Draws) -> Measured:
    best = first_of_each(p, sheet.cases)
    hits = sheet.labels[best].astype(float)
    truth = np.flatnonzero(sheet.labels == 1)  # one a case, in order of the cases
    known = sheet.regular[truth]
    values: dict[str, float | int] = {
        "n": len(hits),
        "hit_rate": float(hits.mean()),
        "auc": auc(sheet.labels, p),
        "brier": brier(sheet.labels, p),
        "ece": ece(sheet.labels, p),
    }
    if known.any() and not known.all():
        values |= {
            "hit_rate_repeat": float(hits[known].mean()),
            "hit_rate_explore": float(hits[~known].mean()),
        }
    ones = np.zeros(len(sheet))
    ones[best] = 1.0
    found = draws.means(sheet.labels.astype(float), ones)
    return Measured("hit_rate", values, middle(found), found, reliability(sheet.labels, p))


def measure_rankings(
    sheet: Sheet, rankings: list[list[str]], bought_before: list[set[str]], draws: Draws
) -> Measured:
    """Recall and NDCG of the first K products of each next basket; repeats and new ones apart.

    Args:
        bought_before: by case, what she had bought.
    """
    assert sheet.family == NEXT_BASKET
    rows = [
        _recalls(ranking, set(each.bought), before)
        for ranking, each, before in zip(rankings, sheet.frozen, bought_before, strict=True)
    ]
    table = np.array(rows)
    recall = table[:, 0]
    values: dict[str, float | int] = {
        "n": len(rows),
        "recall_at_10": float(recall.mean()),
        "ndcg_at_10": float(table[:, 1].mean()),
        "recall_at_10_repeat": float(np.nanmean(table[:, 2])),
        "recall_at_10_explore": float(np.nanmean(table[:, 3])),
    }
    found = draws.means(recall, np.ones(len(recall)))
    return Measured("recall_at_10", values, middle(found), found)


def _recalls(ranking: list[str], bought: set[str], before: set[str]) -> tuple[float, float, float, float]:
    top = ranking[:K]
    hits = [sku in bought for sku in top]
    gains = sum(hit / np.log2(place + 2) for place, hit in enumerate(hits))
    ideal = sum(1 / np.log2(place + 2) for place in range(min(K, len(bought))))
    found = {sku for sku, hit in zip(top, hits, strict=True) if hit}
    parts = []
    for part in (bought & before, bought - before):
        parts.append(len(found & part) / len(part) if part else float("nan"))
    return len(found) / len(bought), float(gains / ideal), parts[0], parts[1]


def first_of_each(p: np.ndarray, cases: np.ndarray) -> np.ndarray:
    """The row with the greatest probability of each case; ties go to the first."""
    order = np.lexsort((np.arange(len(cases)), -p, cases))
    return np.asarray(order[np.unique(cases[order], return_index=True)[1]])


def roc_points(truths: np.ndarray, p: np.ndarray, weights: np.ndarray) -> list[tuple[float, float]]:
    """ROC_POINTS points of the ROC curve, from (0, 0) to (1, 1)."""
    order = np.argsort(-p, kind="stable")
    true = np.cumsum((weights * truths)[order])
    untrue = np.cumsum((weights * (1 - truths))[order])
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)  # of rows that are equally sure
    ends = ends[np.unique(np.linspace(0, len(ends) - 1, ROC_POINTS).astype(int))]
    points = zip((untrue[ends] / untrue[-1]).tolist(), (true[ends] / true[-1]).tolist(), strict=True)
    return [(0.0, 0.0), *points]
