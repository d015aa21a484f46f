"""`twins demo`: the whole system on real receipts, in minutes, with a report at the end."""

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
    ("baskets", "receipts folded, each once"),
    ("lines", "receipt lines"),
    ("lines_per_s", "lines a second through the past, everything on"),
    ("twins", "customers with a twin"),
    ("queries", "decision queries raised"),
    ("answered_share", "share of them answered"),
    ("freshness_ms_p50", "receipt to published profile, median ms"),
    ("freshness_ms_p99", "… 99th percentile ms"),
    ("answer_ms_p50", "query to answer, median ms"),
    ("answer_ms_p99", "… 99th percentile ms"),
    ("n_scored", "options settled by what customers then did"),
    ("auc", "AUC of the live answers"),
    ("auc_7_days_stale", "… with twins a week old"),
    ("auc_wrong_customer", "… with somebody else's twin"),
    ("brier", "Brier score"),
    ("ece", "expected calibration error"),
    ("duplicates_injected", "duplicates injected"),
    ("poison_injected", "bad messages injected"),
    ("dead_lettered", "… found in the dead letters"),
    ("verify_divergent", "twins that differ from a recompute from the lake"),
    ("verify_total", "… of"),
)


def register(app: typer.Typer) -> None:
    """Add the `demo` command."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Option(help="Where everything goes; emptied first.")] = Path("demo"),
    customers: Annotated[int, typer.Option(min=20, max=2469, help="How many households.")] = 300,
    train_until: Annotated[
        datetime, typer.Option(help="The past, which is trained on, ends here.")
    ] = datetime(2017, 7, 1),
    until: Annotated[datetime, typer.Option(help="The live weeks end here.")] = datetime(2017, 9, 1),
    live_seconds: Annotated[float, typer.Option(min=5, help="Seconds that the live weeks take.")] = 90.0,
    train_scale: Annotated[float, typer.Option(min=0.01, help="Cases to train on, times the usual.")] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Replay real months, train on them, then answer and settle questions about the weeks that stream in.

    Exit 1 if a twin differs from the lake, a bad message got lost, or queries stayed without an answer.
    """
    from streams.demo.report import complaints
    from streams.demo.story import Plan, tell

    console = Console(stderr=as_json, highlight=False)
    began = time.monotonic()
    plan = Plan(
        customers, train_until.replace(tzinfo=UTC), until.replace(tzinfo=UTC), live_seconds, train_scale
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
        shown = "–" if value is None else f"{value:,}"
        table.add_row(f"[bold]{shown}", meaning)
    console.print(table)
    console.print(f"\nreport: {folder / 'report.json'}   picture: {folder / 'report.png'}")
    if example := report["example"]:
        console.print("\nto look around in what is left of it:", style="bold")
        console.print("  source .venv/bin/activate")
        console.print(f"  export TWINS_CONFIG={folder / 'twins.toml'}")
        console.print("  twins broker start")
        console.print(f"  twins show {example['customer']}")
        if "sku" in example:
            console.print(f"  twins ask {example['customer']} --sku {example['sku']}")
        console.print("  twins broker stop")
