"""`twins demo-drift`: a segment breaks, trips, is retrained, gated and swapped, with a report at the end."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

ROWS = (
    ("tripped_segment", "segment that tripped"),
    ("windows_to_trip", "windows from the break to the trip"),
    ("false_trips", "trips of segments that were left alone"),
    ("train_s", "seconds of training and judging"),
    ("champion_auc", "AUC of the champion on the held-out days"),
    ("challenger_auc", "… of the challenger"),
    ("gate", "the gate"),
    ("drift_to_swap_s", "seconds from the trip to the first answer of the challenger"),
    ("swap_ms", "milliseconds from its promotion to that answer"),
    ("answers_lost", "queries without exactly one answer"),
    ("score_before", "Brier skill score of live answers before the break"),
    ("score_broken", "… from the break to the swap"),
    ("score_after", "… from the swap on"),
)


def register(app: typer.Typer) -> None:
    """Add the `demo-drift` command."""
    app.command("demo-drift")(demo_drift)


def demo_drift(
    folder: Annotated[
        Path, typer.Option(help="Where the report goes; what it needs besides is in FOLDER/drift.")
    ] = Path("demo"),
    segment: Annotated[str, typer.Option(help="Whose behaviour breaks.")] = "everyday-shoppers",
    customers: Annotated[int, typer.Option(min=100, max=2469, help="How many households.")] = 300,
    breaks_at: Annotated[datetime, typer.Option(help="From when on they buy other products.")] = datetime(
        2017, 8, 7
    ),
    until: Annotated[datetime, typer.Option(help="The live weeks end here.")] = datetime(2017, 9, 25),
    day_s: Annotated[float, typer.Option(min=0.05, help="Seconds that a live day takes.")] = 0.9,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Stream real weeks, break one segment's behaviour, and watch the loop find out and mend it.

    Exit 1 if it does not trip, another trips, no challenger passes, an answer is lost, or the score does not recover.
    """
    from streams.demo.drift_story import Plan, complaints, tell

    console = Console(stderr=as_json, highlight=False)
    began = time.monotonic()
    plan = Plan(
        segment,
        customers,
        breaks_at=breaks_at.replace(tzinfo=UTC),
        until=until.replace(tzinfo=UTC),
        day_s=day_s,
    )
    report = tell(plan, folder, lambda line: console.print(f"{time.monotonic() - began:6.1f} s  {line}"))
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _show(console, report, folder)
    wrong = complaints(report)
    for complaint in wrong:
        console.print(f"[red]✗ {complaint}")
    if wrong:
        raise typer.Exit(1)


def _show(console: Console, report: dict[str, Any], folder: Path) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, meaning in ROWS:
        value = report.get(name)
        table.add_row(f"[bold]{'–' if value is None else value}", meaning)
    console.print(table)
    console.print(f"\nreport: {folder / 'drift-report.json'}   picture: {folder / 'drift-report.png'}")
