"""The report as one HTML page that needs nothing else: tables, and plots as SVG inside it."""

import html
import io
from typing import Any

from trainer.fidelity.families import BY_NAME
from trainer.fidelity.report.markdown import to_markdown

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
        f"<style>{STYLE}</style><body>{plots and ''}{body}<h2>Plots</h2>{plots}</body></html>\n"
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

    figures = []
    with_curves = {name: each for name, each in report["families"].items() if each["evidence"]["curve"]}
    figure, grid = plt.subplots(
        1, max(len(with_curves), 1), figsize=(3.2 * max(len(with_curves), 1), 3.4), squeeze=False
    )
    for axes, (name, found) in zip(grid[0], with_curves.items(), strict=False):
        said, was, _ = zip(*found["evidence"]["curve"], strict=True)
        top = max([*said, *was]) * 1.05
        axes.plot([0, top], [0, top], color="#999", linewidth=1)
        axes.plot(said, was, marker="o", markersize=3, color="#1f5aa6")
        axes.set(title=BY_NAME[name].name, xlabel="said", ylabel="came true")
    figures.append(figure)
    figure, axes = plt.subplots(figsize=(8, 4))
    for name, found in report["families"].items():
        headline = found["evidence"]["headline"]
        for decider, each in found.items():
            is_ours = decider == "evidence"
            axes.plot(
                each[headline],
                BY_NAME[name].name,
                "o",
                color="#c2410c" if is_ours else "#999",
                zorder=2 + is_ours,
            )
    axes.set(title="Every decider by family; evidence in red", xlabel="AUC, hit rate or recall@10")
    figures.append(figure)
    if report.get("staleness"):
        figure, axes = plt.subplots(figsize=(6, 3.4))
        days = [each["days"] for each in report["staleness"]]
        axes.plot(days, [each["auc"] for each in report["staleness"]], marker="o", color="#1f5aa6")
        axes.fill_between(
            days, *zip(*[each["interval"] for each in report["staleness"]], strict=True), alpha=0.2
        )
        axes.set(title="What freshness is worth", xlabel="days behind", ylabel="purchase AUC")
        figures.append(figure)
    found = []
    for figure in figures:
        figure.tight_layout()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        plt.close(figure)
        found.append(buffer.getvalue()[buffer.getvalue().index("<svg") :])
    return found
