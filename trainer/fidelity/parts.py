"""A family in parts: by how often the customer shops, and by the segment that her twin is in."""

from typing import Any

import numpy as np

from trainer.evaluation import auc, brier, ece
from trainer.fidelity.sheets import Sheet
from twin_store.evidence import EVIDENCE_NAMES

ROWS_MIN = 200  # of a part, below which its measures are noise


def by_activity(sheet: Sheet, p: np.ndarray) -> list[dict[str, Any]]:
    """Thirds of the rows by the customer's shopping days; `range` are the least and most of them."""
    trips = sheet.evidence[:, EVIDENCE_NAMES[sheet.kind].index("trips")]
    edges = np.quantile(trips, [0, 1 / 3, 2 / 3, 1])
    found = []
    for place, name in enumerate(("seldom", "sometimes", "often")):
        rows = (trips >= edges[place]) & ((trips < edges[place + 1]) | (place == 2))
        found += [
            part | {"range": [float(edges[place]), float(edges[place + 1])]}
            for part in _measured(name, sheet, p, rows)
        ]
    return found


def by_segment(sheet: Sheet, p: np.ndarray, of_kind: np.ndarray) -> list[dict[str, Any]]:
    """By the segment of the twin as of each case; parts with few rows are left out.

    `of_kind` is what the calibration of the kind alone says [n]: its error stands beside, as `ece_of_kind`.
    """
    found = []
    for name in np.unique(sheet.segments).tolist():
        rows = sheet.segments == name
        for part in _measured(name, sheet, p, rows):
            alone = ece(sheet.labels[rows], of_kind[rows], sheet.weights[rows])
            found.append(part | {"ece_of_kind": alone})
    return found


def _measured(name: str, sheet: Sheet, p: np.ndarray, rows: np.ndarray) -> list[dict[str, Any]]:
    truths, weights = sheet.labels[rows], sheet.weights[rows]
    if len(truths) < ROWS_MIN or len(np.unique(truths)) < 2:
        return []
    return [
        {
            "part": name,
            "n": len(truths),
            "auc": auc(truths, p[rows], weights),
            "brier": brier(truths, p[rows], weights),
            "ece": ece(truths, p[rows], weights),
        }
    ]
