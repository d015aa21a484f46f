"""What each part of the evidence is worth: the purchase model fitted again without it.

Every fit is a LightGBM on the same rows, so that parts are compared with each other and not with the version that
answers, which mixes in a logistic model.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from trainer.fidelity.baselines.columns import PlainScorer, fit_lightgbm
from trainer.fidelity.bootstrap import Draws, middle
from trainer.fidelity.measures import measure_probabilities
from trainer.fidelity.sheets import Sheet
from trainer.tasks.table import Table
from twin_store.evidence.groups import GROUPS

ROWS_MAX = 60_000  # the newest: enough to tell parts apart, in seconds a fit


def ablate(
    table: Table, sheet: Sheet, seed: int, say: Callable[[str], None] = lambda line: None
) -> list[dict[str, Any]]:
    """By group of evidence the AUC without it, and the interval of what that loses against everything."""
    newest = table.where(np.arange(len(table)) >= len(table) - ROWS_MAX)
    draws = Draws(sheet.customers, seed)
    found: list[dict[str, Any]] = []
    whole = None
    for name, group in [("nothing", frozenset[str]()), *GROUPS.items()]:
        keep = _without(group)
        scorer = PlainScorer(name, {(table.kind, sheet.drawn): newest}, keep, fit_lightgbm)
        p = scorer.probabilities(sheet)
        if p is None:
            return []
        measured = measure_probabilities(sheet, p, draws)
        whole = measured if whole is None else whole
        found.append(
            {
                "without": name,
                "columns": len(group),
                "auc": measured.values["auc"],
                "lost": list(middle(whole.draws - measured.draws)),
            }
        )
        say(f"without {name}: AUC {measured.values['auc']:.4f}")
    return found


def _without(group: frozenset[str]) -> Callable[[str], bool]:
    return lambda name: name not in group
