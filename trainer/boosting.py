"""LightGBM, where it is installed: fitted with fixed seeds, kept as its own text format."""

from typing import Any

import numpy as np

ROWS_MIN = 2_000
ROUNDS_MAX = 600
STOP_AFTER = 40  # rounds without a better log loss on the rows kept apart
APART = 0.1  # the last rows, which decide when to stop
WIDE_FROM = 50_000  # rows from which more leaves pay
LEAVES, LEAVES_WIDE = 15, 63
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "min_data_in_leaf": 80,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


def available() -> bool:
    """Whether LightGBM can be loaded: it is an extra, and needs the system's OpenMP library."""
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


class Boosted:
    """A fitted booster. `text` is all of it; `threads` are used to predict.

    Without LightGBM it can still be kept and handed on, but it does not answer: see `is_usable`.
    """

    def __init__(self, text: str, threads: int = 1) -> None:
        self.text = text
        self._threads = threads
        self._booster: Any = None
        if available():
            import lightgbm

            self._booster = lightgbm.Booster(model_str=text)

    @property
    def is_usable(self) -> bool:
        """Whether it can score here."""
        return self._booster is not None

    def scores(self, evidence: np.ndarray) -> np.ndarray:
        """Log odds [n]. Only where it is usable."""
        return np.asarray(self._booster.predict(evidence, raw_score=True, num_threads=self._threads))


def fit_boosted(
    evidence: np.ndarray, labels: np.ndarray, weights: np.ndarray, seed: int, threads: int = 1
) -> Boosted | None:
    """Trees on log loss; rows in order of time. The same rows and seed give the same text.

    Returns:
        None where there are too few rows, too few of one outcome, or no LightGBM.
    """
    cut = int(len(labels) * (1 - APART))
    if len(labels) < ROWS_MIN or not available():
        return None
    if labels[:cut].min() == labels[:cut].max() or labels[cut:].min() == labels[cut:].max():
        return None
    import lightgbm

    weights = weights / weights.mean()
    fit = lightgbm.Dataset(evidence[:cut], labels[:cut], weight=weights[:cut])
    judge = lightgbm.Dataset(evidence[cut:], labels[cut:], weight=weights[cut:], reference=fit)
    leaves = LEAVES_WIDE if len(labels) >= WIDE_FROM else LEAVES
    booster = lightgbm.train(
        PARAMETERS | {"num_leaves": leaves, "seed": seed, "num_threads": threads},
        fit,
        ROUNDS_MAX,
        valid_sets=[judge],
        callbacks=[lightgbm.early_stopping(STOP_AFTER, verbose=False)],
    )
    return Boosted(booster.model_to_string(num_iteration=booster.best_iteration), threads)
