"""The overview on a terminal: tables for a person, one line now and then where there is no terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streams.live_score import Score
from streams.overview import Overview
from streams.processes import PROCESSES
from streams.supervisor import Child

STATE_STYLES = {"ready": "green", "running": "green", "starting": "yellow", "silent": "red"}
# What is shown with its rate, in this order: name -> heading.
RATES = {
    "lines": "receipt lines",
    "profiles": "profiles",
    "queries": "queries",
    "predictions": "predictions",
    "settled": "settled",
}


@dataclass(frozen=True)
class Rates:
    """How much of each total came a second between two overviews."""

    per_s: Mapping[str, float]

    @classmethod
    def between(cls, before: Overview | None, now: Overview) -> Rates:
        """A restarted process counts from 0 again; that is no negative rate."""
        if before is None or now.at <= before.at:
            return cls(dict.fromkeys(now.totals, 0.0))
        seconds = now.at - before.at
        return cls(
            {
                name: max(0.0, (value - before.totals.get(name, 0.0)) / seconds)
                for name, value in now.totals.items()
            }
        )


def screen(
    seen: Overview,
    rates: Rates,
    score: Score | None = None,
    by_kind: Mapping[str, Score] | None = None,
    children: list[Child] | None = None,
) -> RenderableType:
    """The whole view."""
    shown: list[RenderableType] = [processes_table(seen, children or []), "", totals_table(seen, rates), ""]
    shown.append(latencies_line(seen))
    if score is not None and score.outcomes:
        shown += ["", score_table(score, by_kind or {})]
    return Group(*shown)


def processes_table(seen: Overview, children: list[Child]) -> Table:
    """Every process with its state and backlog."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("process", "pid", "state", "lag", "metrics"):
        table.add_column(heading, justify="right" if heading in ("pid", "lag") else "left")
    order = {process.name: place for place, process in enumerate(PROCESSES)}
    for part in sorted(seen.parts, key=lambda part: (order.get(part.name, 99), part.pid)):
        lag = "-" if part.lag is None else f"{part.lag:,}"
        state = Text(part.state, style=STATE_STYLES.get(part.state, ""))
        table.add_row(part.name, str(part.pid), state, lag, f"{part.url}/metrics" if part.url else "-")
    running = {part.pid for part in seen.parts}
    for child in children:
        if child.pid not in running:
            words = f"crashed {child.restarts} times" if child.restarts else "starting"
            if child.state == "waiting":
                words += f", exit code {child.exit_code}: {child.last_words()[:100]}"
            style = "red" if child.restarts else "yellow"
            table.add_row(child.name, str(child.pid or "-"), Text(words, style=style), "-", str(child.log))
    if not seen.reachable:
        table.add_row("kafka", "-", Text("does not answer", style="red"), "-", "-")
    return table


def totals_table(seen: Overview, rates: Rates) -> Table:
    """Totals since the processes started, and rates."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", *RATES.values()):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("total", *(f"{seen.totals[name]:,.0f}" for name in RATES))
    table.add_row("per second", *(f"{rates.per_s.get(name, 0):,.0f}" for name in RATES))
    return table


def latencies_line(seen: Overview) -> Text:
    """How many twins there are, and how long things take."""
    took = seen.latencies
    return Text(
        f"twins {seen.totals['twins']:,.0f}"
        f" · receipt to profile {_ms(took['freshness_ms_p50'])} (p99 {_ms(took['freshness_ms_p99'])})"
        f" · query to answer {_ms(took['answer_ms_p50'])} (p99 {_ms(took['answer_ms_p99'])})"
        f" · dead letters {seen.totals['dead_letters']:,.0f}"
    )


def score_table(score: Score, by_kind: Mapping[str, Score]) -> Table:
    """How good the answers have been."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("score so far", "answers", "void", "options", "AUC", "Brier", "ECE"):
        table.add_column(heading, justify="left" if heading == "score so far" else "right")
    for name, found in (*sorted(by_kind.items()), ("all", score)):
        numbers = (_number(value) for value in (found.auc, found.brier, found.ece))
        table.add_row(name, f"{found.outcomes:,}", f"{found.void:,}", f"{found.n:,}", *numbers)
    return table


def line(seen: Overview, rates: Rates, score: Score | None = None) -> str:
    """The view as one line of a log."""
    parts = [f"{len(seen.parts)} processes"]
    parts += [f"{name} {seen.totals[name]:,.0f} (+{rates.per_s.get(name, 0):,.0f}/s)" for name in RATES]
    behind = {name: count for name, count in seen.lags.items() if count}
    parts.append("lag " + (" ".join(f"{name}={count:,}" for name, count in behind.items()) or "none"))
    parts.append(f"freshness p50 {_ms(seen.latencies['freshness_ms_p50'])}")
    if score is not None and score.n:
        parts.append(f"AUC {_number(score.auc)} Brier {_number(score.brier)} of {score.n:,}")
    return "  ".join(parts)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
