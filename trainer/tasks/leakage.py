"""Whether the answer is in the question: three controls that must know nothing, and fail loudly if they do.

Each fits a model on the rows that are learnt from and asks it about later weeks. What the tasks hold against it:

- shuffled time: each customer's answers are dealt out anew among her own moments. Who still does well knows something
  that is not about the moment, such as the make-up of a customer's cases.
- wrong customer: the evidence is somebody else's. What is left is about the products alone.
- popularity only: of the evidence nothing but what the market says of the product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from trainer.evaluation import auc
from trainer.logistic import Logistic

POPULARITY = (
    "e_popularity_1",
    "e_popularity_2",
    "e_popularity_4",
    "e_popularity_8",
    "e_growth",
    "e_weeks_sold",
)
CHANCE, SIGMAS = 0.03, 3.0  # beyond one half: what matching leaves, and what chance does with so few rows
ROWS_MIN = 200


class LeakageError(ValueError):
    """A control knew what it cannot know; the message names it and by how much."""


@dataclass(frozen=True)
class Control:
    """AUC of a control on later weeks, and the most that it may be. `auc` of the evidence itself is beside it."""

    task: str
    name: str
    auc: float
    bound: float
    evidence_auc: float

    @property
    def holds(self) -> bool:
        """Whether it knows no more than chance."""
        return not self.auc > self.bound


def controls(task: str, rows: pl.DataFrame, others: pl.DataFrame | None, seed: int = 1) -> list[Control]:
    """The controls of a task whose cases are balanced within each customer's moments.

    Args:
        rows: as `build_tasks` writes them.
        others: the same rows with the evidence of other customers, None to leave that control out.
    """
    fit = rows["part"].to_numpy() == "fit"
    late = np.isin(rows["part"].to_numpy(), ("time", "both"))
    labels = rows["label"].to_numpy().astype(np.int64)
    if (
        min(fit.sum(), late.sum()) < ROWS_MIN
        or len(np.unique(labels[fit])) < 2
        or len(np.unique(labels[late])) < 2
    ):
        return []
    columns = [name for name in rows.columns if name.startswith("e_")]
    evidence = rows.select(columns).to_numpy().astype(np.float64)
    weights = np.ones(len(labels))
    model = Logistic.fit(evidence[fit], labels[fit], weights[fit])
    own = auc(labels[late], model.scores(evidence[late]))
    bound = 0.5 + CHANCE + SIGMAS * _spread(labels[late])
    dealt = _dealt_within(rows["customer_id"].to_numpy(), labels, seed)
    shuffled = Logistic.fit(evidence[fit], dealt[fit], weights[fit])
    found = {"shuffled time": auc(dealt[late], shuffled.scores(evidence[late]))}
    if others is not None:
        strange = others.select(columns).to_numpy().astype(np.float64)
        found["wrong customer"] = auc(labels[late], model.scores(strange[late]))
    popular = [columns.index(name) for name in columns if _is_popularity(name)]
    if popular:
        alone = Logistic.fit(evidence[fit][:, popular], labels[fit], weights[fit])
        found["popularity only"] = auc(labels[late], alone.scores(evidence[late][:, popular]))
    return [Control(task, name, value, bound, own) for name, value in found.items()]


def refuse_leaks(found: Mapping[str, list[Control]]) -> None:
    """Raises `LeakageError` naming every control that knows more than chance."""
    leaks = [control for of_task in found.values() for control in of_task if not control.holds]
    if leaks:
        said = "; ".join(f"{c.task}, {c.name}: AUC {c.auc:.3f}, at most {c.bound:.3f}" for c in leaks)
        raise LeakageError(f"the answers leak into the questions: {said}")


def _is_popularity(name: str) -> bool:
    return name in POPULARITY or name.startswith("e_popularity")


def _dealt_within(customers: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Each customer's labels in another order."""
    dice = np.random.default_rng([seed, 19])
    shuffled = dice.permutation(len(labels))
    mixed = shuffled[np.argsort(customers[shuffled], kind="stable")]
    ordered = np.argsort(customers, kind="stable")
    dealt = np.empty_like(labels)
    dealt[ordered] = labels[mixed]
    return dealt


def _spread(labels: np.ndarray) -> float:
    """The standard deviation of AUC by chance (Hanley and McNeil)."""
    true = float(labels.sum())
    false = len(labels) - true
    return math.sqrt((true + false + 1) / (12 * true * false))
