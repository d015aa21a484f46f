"""The report as one HTML page that needs nothing else: tables, and plots as SVG inside it."""

import html
import io
from typing import Any

from trainer.fidelity.report.markdown import to_markdown

EVIDENCE = "evidence"
BLUE, RED, GREY = "#1f5aa6", "#c2410c", "#999999"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .25rem .7rem; border-bottom: 1px solid #ddd; }
th { text-align: left; } td + td { font-variant-numeric: tabular-nums; } svg { max-width: 100%; height: auto; }
"""


def to_page(report: dict[str, Any]) -> str:
    """The page's text."""
    body = _body(to_markdown(report))
    plots = "".join(_plots(report))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>How true the twins are</title>"
        f"<style>{STYLE}</style><body>{body}<h2>Plots</h2>{plots}</body></html>\n"
    )


def _body(markdown: str) -> str:
    """Headings, paragraphs and tables: all that the report's Markdown has."""
    out: list[str] = []
    for block in markdown.strip().split("\n\n"):
        if block.startswith("#"):
            level = len(block) - len(block.lstrip("#"))
            out.append(f"<h{level}>{html.escape(block.lstrip('# '))}</h{level}>")
        elif block.startswith("|"):
            out.append(_table(block))
        else:
            out.append(f"<p>{html.escape(block)}</p>")
    return "".join(out)


def _table(block: str) -> str:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[2:]
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _plots(report: dict[str, Any]) -> list[str]:
    import matplotlib as mpl  # only who draws waits for it

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "fidelity"  # the same report gives the same page
    import matplotlib.pyplot as plt

    figures = [_calibration(plt, report), _roc(plt, report), _deciders(plt, report), _parts(plt, report)]
    if report.get("staleness"):
        figures.append(_freshness(plt, report["staleness"]))
    return [_as_svg(plt, figure) for figure in figures]


def _calibration(plt: Any, report: dict[str, Any]) -> Any:
    curves = {
        name: each[EVIDENCE]["curve"] for name, each in report["families"].items() if each[EVIDENCE]["curve"]
    }
    figure, grid = plt.subplots(2, (len(curves) + 1) // 2, figsize=(12, 6), squeeze=False)
    for axes, (name, curve) in zip(grid.flat, curves.items(), strict=False):
        said, was, _ = zip(*curve, strict=True)
        top = max([*said, *was]) * 1.05
        axes.plot([0, top], [0, top], color=GREY, linewidth=1)
        axes.plot(said, was, marker="o", markersize=3, color=BLUE)
        axes.set(title=name, xlabel="said", ylabel="came true")
    for axes in list(grid.flat)[len(curves) :]:
        axes.set_axis_off()
    return figure


def _roc(plt: Any, report: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(figsize=(5, 5))
    for name, found in report["families"].items():
        if found[EVIDENCE]["roc"]:
            axes.plot(*zip(*found[EVIDENCE]["roc"], strict=True), label=name)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    axes.set(title="ROC of the evidence decider", xlabel="untrue above", ylabel="true above")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _deciders(plt: Any, report: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(figsize=(8, 4))
    for name, found in report["families"].items():
        for decider, each in found.items():
            ours = decider == EVIDENCE
            axes.plot(each[each["headline"]], name, "o", color=RED if ours else GREY, zorder=2 + ours)
    axes.set(title="Every decider by family; evidence in red", xlabel="AUC, hit rate or recall@10")
    return figure


def _parts(plt: Any, report: dict[str, Any]) -> Any:
    """Purchases: how well they are told apart, and how far the probabilities are off."""
    parts = [*report.get("activity", []), *report.get("segments", {}).get("purchase", [])][::-1]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 0.35 * len(parts) + 1.4), sharey=True)
    names = [f"{each['part']} ({each['n']:,})" for each in parts]
    left.barh(names, [each["auc"] for each in parts], color=BLUE)
    left.set(title="Purchases by activity and by segment", xlabel="AUC", xlim=(0.5, 1.0))
    right.barh(names, [each["ece"] for each in parts], color=BLUE)
    right.set(xlabel="ECE")
    return figure


def _freshness(plt: Any, curve: list[dict[str, Any]]) -> Any:
    figure, axes = plt.subplots(figsize=(6, 3.4))
    days = [each["days"] for each in curve]
    lows, highs = zip(*[each["interval"] for each in curve], strict=True)
    axes.plot(days, [each["auc"] for each in curve], marker="o", color=BLUE)
    axes.fill_between(days, lows, highs, alpha=0.2, color=BLUE)
    axes.set(title="What freshness is worth", xlabel="days behind", ylabel="purchase AUC")
    return figure


def _as_svg(plt: Any, figure: Any) -> str:
    figure.tight_layout()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
