"""The demo's picture: are the probabilities true, and how does the score go as answers settle."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from streams.demo.scores import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 10
WINDOW = 400


def draw(options: Options, path: Path, title: str) -> None:
    """Write a PNG with the calibration curve and the running Brier score of settled options."""
    import matplotlib as mpl  # the rest of the demo must not wait for it

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), constrained_layout=True)
    figure.suptitle(title)
    _calibration(left, options.probabilities, options.truths)
    _live_score(right, options)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _calibration(axes: Axes, probabilities: np.ndarray, truths: np.ndarray) -> None:
    order = np.argsort(probabilities)
    groups = [group for group in np.array_split(order, BINS) if len(group)]
    said = [float(probabilities[group].mean()) for group in groups]
    was = [float(truths[group].mean()) for group in groups]
    error = [1.96 * float(np.sqrt(max(w * (1 - w), 1e-9) / len(g))) for w, g in zip(was, groups, strict=True)]
    top = max([*said, *was, 0.05]) * 1.1
    axes.plot([0, top], [0, top], color="#999999", linewidth=1, label="perfect")
    axes.errorbar(
        said, was, yerr=error, marker="o", color="#1f5aa6", capsize=3, label="answers, tenths of equal size"
    )
    axes.set(
        xlabel="probability said",
        ylabel="share that came true",
        title="Calibration",
        xlim=(0, top),
        ylim=(0, top),
    )
    axes.legend(loc="upper left", frameon=False)


def _live_score(axes: Axes, options: Options) -> None:
    probabilities, truths, settled_at = options.probabilities, options.truths, options.settled_at
    order = np.argsort(settled_at, kind="stable")
    squared = (probabilities[order] - truths[order]) ** 2
    base = truths.mean() * (1 - truths.mean())
    width = min(WINDOW, len(squared))
    running = np.convolve(squared, np.ones(width) / width, mode="valid")
    days: Any = [datetime.fromtimestamp(float(s), UTC) for s in settled_at[order][width - 1 :]]
    axes.plot(days, running, color="#1f5aa6", label=f"last {width} settled options")
    axes.axhline(base, color="#999999", linewidth=1, label="always saying the base rate")
    axes.set(xlabel="event time", ylabel="Brier score (lower is better)", title="Live score")
    axes.tick_params(axis="x", rotation=30)
    axes.legend(loc="best", frameon=False)
