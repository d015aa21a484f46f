"""LightGBM, where it is installed: fitted with fixed seeds, kept as its own text format."""

from typing import Any

import numpy as np

from trainer.calibration import softmax

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
# Where exactly one option of a case is true, what counts is how it stands to the others.
OPTIONS_PARAMETERS: dict[str, Any] = {"learning_rate": 0.06, "feature_fraction": 0.3, "metric": "None"}


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

    @property
    def rounds(self) -> int:
        """How many trees it has. Only where it is usable."""
        return int(self._booster.num_trees())

    def scores(self, evidence: np.ndarray) -> np.ndarray:
        """Log odds [n]. Only where it is usable."""
        return np.asarray(self._booster.predict(evidence, raw_score=True, num_threads=self._threads))


def fit_boosted(
    evidence: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    seed: int,
    threads: int = 1,
    rounds: int | None = None,
    cases: np.ndarray | None = None,
) -> Boosted | None:
    """Trees on log loss; rows in order of time. The same rows and seed give the same text.

    Args:
        rounds: grow so many trees on all rows; without it, as many as foretell the last rows best, on the others.
        cases: [n] the case of each row, where exactly one row of a case is true: the log loss is then that of a
            softmax over its rows. Rows are still scored one by one.

    Returns:
        None where there are too few rows, too few of one outcome, or no LightGBM.
    """
    if len(labels) < ROWS_MIN or not available():
        return None
    cut = int(len(labels) * (1 - APART)) if rounds is None else len(labels)
    if cases is not None and cut < len(labels):
        cut = int(np.searchsorted(cases, cases[cut]))
    parts = [part for part in (labels[:cut], labels[cut:]) if len(part)]
    if any(part.min() == part.max() for part in parts):
        return None
    import lightgbm

    weights = weights / weights.mean()
    fit = lightgbm.Dataset(evidence[:cut], labels[:cut], weight=weights[:cut])
    leaves = LEAVES_WIDE if len(labels) >= WIDE_FROM else LEAVES
    settings = PARAMETERS | {"num_leaves": leaves, "seed": seed, "num_threads": threads}
    judged: dict[str, Any] = {}
    if rounds is None:
        judge = lightgbm.Dataset(evidence[cut:], labels[cut:], weight=weights[cut:], reference=fit)
        stop = lightgbm.early_stopping(STOP_AFTER, verbose=False)
        judged = {"valid_sets": [judge], "callbacks": [stop]}
    if cases is not None:
        settings |= OPTIONS_PARAMETERS | {"objective": _pulls_of(cases[:cut], labels[:cut], weights[:cut])}
        if rounds is None:
            judged["feval"] = _loss_of(cases[cut:], labels[cut:], weights[cut:])
    booster = lightgbm.train(settings, fit, rounds or ROUNDS_MAX, **judged)
    best = booster.best_iteration if rounds is None else rounds
    return Boosted(booster.model_to_string(num_iteration=best), threads)


def _pulls_of(cases: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Any:
    """Gradient and curvature of the log loss of a softmax within each case, as LightGBM asks for them."""

    def pulls(scores: np.ndarray, rows: Any) -> tuple[np.ndarray, np.ndarray]:
        said = softmax(scores, cases)
        return weights * (said - labels), weights * np.maximum(said * (1 - said), 1e-6)

    return pulls


def _loss_of(cases: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Any:
    """That log loss itself."""
    true = labels == 1

    def loss(scores: np.ndarray, rows: Any) -> tuple[str, float, bool]:
        lost = -np.log(np.maximum(softmax(scores, cases)[true], 1e-12))
        return "loss", float(np.average(lost, weights=weights[true])), False

    return loss
