"""What scores a row of evidence: LightGBM, or a logistic regression where there is little data or no LightGBM.

Both are kept as text: LightGBM's own format, and JSON.
"""

import json
from typing import Any, Protocol

import numpy as np

from trainer.calibration import sigmoid

BOOSTING_ROWS_MIN = 2_000
ROUNDS_MAX = 600
STOP_AFTER = 40
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.04,
    "num_leaves": 31,
    "min_child_samples": 60,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


class Scorer(Protocol):
    """Evidence [n, F], NaN where missing, to scores between 0 and 1 [n]."""

    def __call__(self, evidence: np.ndarray) -> np.ndarray:
        """The scores."""

    def to_text(self) -> str:
        """For a version's files."""


class Boosted:
    """A LightGBM model."""

    def __init__(self, text: str, threads: int = 1) -> None:
        import lightgbm

        self._text = text
        self._booster = lightgbm.Booster(model_str=text)
        self._threads = threads

    def __call__(self, evidence: np.ndarray) -> np.ndarray:
        """See `Scorer`."""
        return np.asarray(self._booster.predict(evidence, num_threads=self._threads))

    def to_text(self) -> str:
        """See `Scorer`."""
        return self._text


class Logistic:
    """A logistic regression over standardised numbers; a missing one counts as average."""

    def __init__(self, mean: np.ndarray, scale: np.ndarray, weights: np.ndarray, bias: float) -> None:
        self._mean, self._scale, self._weights, self._bias = mean, scale, weights, bias

    def __call__(self, evidence: np.ndarray) -> np.ndarray:
        """See `Scorer`."""
        standard = np.nan_to_num((evidence - self._mean) / self._scale, nan=0.0)
        return sigmoid(np.clip(standard, -8, 8) @ self._weights + self._bias)

    def to_text(self) -> str:
        """See `Scorer`."""
        parts = {"mean": self._mean, "scale": self._scale, "weights": self._weights}
        return json.dumps({name: part.tolist() for name, part in parts.items()} | {"bias": self._bias})


def read_scorer(name: str, text: str, threads: int = 1) -> Scorer:
    """The scorer in a version's file: `….lightgbm.txt` or `….logistic.json`."""
    if name.endswith(".lightgbm.txt"):
        return Boosted(text, threads)
    parts = json.loads(text)
    mean, scale, weights = (np.array(parts[key]) for key in ("mean", "scale", "weights"))
    return Logistic(mean, scale, weights, float(parts["bias"]))


def suffix_of(scorer: Scorer) -> str:
    """The ending of its file name."""
    return ".lightgbm.txt" if isinstance(scorer, Boosted) else ".logistic.json"


def fit_scorer(
    evidence: np.ndarray, labels: np.ndarray, weights: np.ndarray, seed: int, threads: int = 1
) -> Scorer:
    """Fit to rows in order of time; the last tenth decides when to stop.

    Raises:
        ValueError: only one class stands.
    """
    if labels.min() == labels.max():
        raise ValueError("all labels are the same")
    if len(labels) < BOOSTING_ROWS_MIN:
        return _fit_logistic(evidence, labels, weights)
    try:
        import lightgbm
    except ModuleNotFoundError:
        return _fit_logistic(evidence, labels, weights)
    cut = int(len(labels) * 0.9)
    if labels[cut:].min() == labels[cut:].max():
        return _fit_logistic(evidence, labels, weights)
    fit = lightgbm.Dataset(evidence[:cut], labels[:cut], weight=weights[:cut])
    judge = lightgbm.Dataset(evidence[cut:], labels[cut:], weight=weights[cut:], reference=fit)
    booster = lightgbm.train(
        PARAMETERS | {"seed": seed, "num_threads": threads},
        fit,
        ROUNDS_MAX,
        valid_sets=[judge],
        callbacks=[lightgbm.early_stopping(STOP_AFTER, verbose=False)],
    )
    return Boosted(booster.model_to_string(num_iteration=booster.best_iteration), threads)


def _fit_logistic(evidence: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Logistic:
    from sklearn.linear_model import LogisticRegression

    known = ~np.isnan(evidence)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, evidence, 0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, evidence - mean, 0) ** 2).sum(axis=0) / count)
    scale = np.where(spread > 1e-9, spread, 1.0)
    standard = np.clip(np.nan_to_num((evidence - mean) / scale, nan=0.0), -8, 8)
    fitted = LogisticRegression(C=0.1, max_iter=1_000).fit(standard, labels, sample_weight=weights)
    return Logistic(mean, scale, fitted.coef_[0].astype(np.float64), float(fitted.intercept_[0]))
