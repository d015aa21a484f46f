"""The picture of `twins drift show`: what was measured by window, a line a segment, trips marked."""

from __future__ import annotations

from pathlib import Path

from streams.drift_readings import Drift

PANELS = {
    "largest population stability index": lambda sizes: max(
        (size for name, size in sizes.items() if name.startswith("psi.")), default=None
    ),
    "answers against the first weeks of their version (z)": lambda sizes: max(
        (abs(sizes[name]) for name in ("gap_z", "excess_z") if name in sizes), default=None
    ),
    "expected calibration error": lambda sizes: sizes.get("ece"),
}


def draw(found: Drift, path: Path) -> None:
    """Write a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(len(PANELS), 1, figsize=(10, 9), sharex=True, constrained_layout=True)
    for panel, (title, value_of) in zip(panels, PANELS.items(), strict=True):
        panel.set_title(title, fontsize=10)
        for segment in sorted({each.segment for each in found.readings}):
            points = [
                (each.window_end, value_of(each.sizes), found.trip_of(each) is not None)
                for each in found.readings
                if each.segment == segment
            ]
            shown = [(at, value, tripped) for at, value, tripped in points if value is not None]
            if not shown:
                continue
            line = panel.plot([p[0] for p in shown], [p[1] for p in shown], marker=".", label=segment)[0]
            marks = [(at, value) for at, value, tripped in shown if tripped]
            if marks:
                panel.scatter(*zip(*marks, strict=True), marker="*", s=160, color=line.get_color(), zorder=3)
        panel.set_ylim(bottom=0)
        if panel.has_data() and panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize=8, ncols=2)
    figure.autofmt_xdate()
    figure.savefig(path, dpi=110)
    plt.close(figure)
