"""The picture of the drift demo: the score by week, with the break, the trip and the swap."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any


def draw(report: dict[str, Any], path: Path) -> None:
    """Write a PNG of what a report says."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.dates import date2num

    figure, axes = plt.subplots(figsize=(10, 4.8), constrained_layout=True)
    for name, weeks in report["weeks"].items():
        is_broken = name == report["broken_segment"]
        axes.plot(
            date2num([datetime.fromisoformat(monday) for monday, _ in weeks]),
            [score for _, score in weeks],
            marker="o",
            color="#c23b22" if is_broken else "#999999",
            label=name,
        )
    for key, label, colour in (
        ("broken_at", "behaviour breaks", "#c23b22"),
        ("tripped_window_end", "tripping window ends", "#e08a00"),
        ("swapped_at", "challenger answers", "#2a7f3f"),
    ):
        if report[key] is not None:
            at = datetime.fromisoformat(report[key]).replace(tzinfo=None)
            axes.axvline(float(date2num(at)), color=colour, linestyle="--", linewidth=1.2, label=label)
    axes.xaxis_date()
    axes.axhline(0, color="#444444", linewidth=0.6)
    axes.set(
        ylabel="Brier skill score of live answers", title="One segment drifts, is retrained and recovers"
    )
    axes.legend(fontsize=8)
    figure.autofmt_xdate()
    figure.savefig(path, dpi=110)
    plt.close(figure)
