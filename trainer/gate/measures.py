"""How good two deciders are on the same decisions, and whether one is better than the other beyond chance."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from trainer.evaluation import Scored, auc, brier, difference_interval, ece, hit_rate
from trainer.gate.scores import Scores

YES_FROM = 0.5
PERMUTATIONS = 2_000


def measured(scores: Scores, said: np.ndarray) -> dict[str, float]:
    """All measures of one decider's probabilities by name; NaN where there is none, such as AUC of one outcome."""
    truths, weights = scores.truths, scores.weights
    found = {
        "auc": auc(truths, said, weights),
        "brier": brier(truths, said, weights),
        "ece": ece(truths, said, weights),
    }
    return found | chosen(scores, said)


def chosen(scores: Scores, said: np.ndarray) -> dict[str, float]:
    """Measures of what is decided: YES from a half on, or the likeliest option of a case."""
    if scores.one_is_true:
        hits = hit_rate(scores.truths, said, scores.cases)
        # Of one option said and one true both have one, or none: one of one, or none of two.
        return {"hit_rate": hits, "jaccard": hits}
    yes, true, weights = said >= YES_FROM, scores.truths > 0, scores.weights
    both = float(weights[yes & true].sum())
    said_yes, were = float(weights[yes].sum()), float(weights[true].sum())
    precision = both / said_yes if said_yes else math.nan
    recall = both / were if were else math.nan
    return {
        "accuracy": float(weights[yes == true].sum() / weights.sum()),
        "precision": precision,
        "recall": recall,
        "f1": 2 * both / (said_yes + were) if said_yes + were else math.nan,
        "jaccard": _mean_jaccard(scores, yes),
    }


def _mean_jaccard(scores: Scores, yes: np.ndarray) -> float:
    """Of the options said and those that came true, by case; cases without either are not counted."""
    _, number = np.unique(scores.cases, return_inverse=True)
    both = np.bincount(number, yes & (scores.truths > 0))
    either = np.bincount(number, yes | (scores.truths > 0))
    return float((both[either > 0] / either[either > 0]).mean()) if either.any() else math.nan


def gains(scores: Scores, seed: int = 0) -> dict[str, tuple[float, float]]:
    """95 % intervals, bootstrapped by customer, of the challenger's gain in AUC and in Brier score (how much less)."""
    first = Scored(scores.truths, scores.champion, scores.customers)
    second = Scored(scores.truths, scores.challenger, scores.customers)
    low, high = difference_interval(brier, first, second, True, seed)
    return {"auc": difference_interval(auc, first, second, True, seed), "brier": (-high, -low)}


def paired_p(scores: Scores, seed: int = 0) -> float:
    """How often chance makes squared errors differ as much: a sign-flip test by customer, two-sided."""
    _, number = np.unique(scores.customers, return_inverse=True)
    errors = [(said - scores.truths) ** 2 for said in (scores.champion, scores.challenger)]
    of_customer = np.bincount(number, scores.weights * (errors[0] - errors[1]))
    signs = np.random.default_rng([seed, 17]).choice([-1.0, 1.0], (PERMUTATIONS, len(of_customer)))
    by_chance = np.abs(signs @ of_customer)
    return float((1 + (by_chance >= abs(of_customer.sum()) - 1e-12).sum()) / (1 + PERMUTATIONS))


def plain(found: Mapping[str, float]) -> dict[str, float | None]:
    """For JSON, which has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in found.items()}
