"""`twins demo`: the whole system on real receipts, in minutes, with a report at the end."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streams.errors import UsageError

if TYPE_CHECKING:
    from streams.demo.story import Plan

ROWS = (
    ("baskets", "receipts folded, each once"),
    ("lines", "receipt lines"),
    ("lines_per_s", "lines a second through the past, everything on"),
    ("twins", "customers with a twin"),
    ("queries", "decision queries raised"),
    ("answered_share", "share of them answered"),
    ("answers_of_model", "answers of the language model"),
    ("answers_of_evidence", "… of the evidence decider"),
    (
        "degraded_share",
        "share of answers that lack something, all that evidence gave in the model's stead among them",
    ),
    ("freshness_ms_p50", "receipt to published profile, median ms"),
    ("freshness_ms_p99", "… 99th percentile ms"),
    ("answer_ms_p50", "query to answer, median ms"),
    ("answer_ms_p99", "… 99th percentile ms"),
    ("n_scored", "options settled by what customers then did"),
    ("auc", "AUC of the live answers"),
    ("auc_of_model", "… of those of the language model"),
    ("auc_of_evidence_there", "… of evidence, asked the same"),
    ("auc_7_days_stale", "… of evidence, asked all again with twins a week old"),
    ("auc_wrong_customer", "… of evidence, with somebody else's twin"),
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
    decider: Annotated[
        str,
        typer.Option(help="Who answers: evidence; or vllm, trained here too, with evidence in its stead."),
    ] = "evidence",
    customers: Annotated[
        int | None, typer.Option(min=20, max=2469, help="How many households; default: 300, with vllm 100.")
    ] = None,
    train_until: Annotated[
        datetime | None, typer.Option(help="The past, which is trained on, ends here; default: 2017-07-01.")
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(help="The live weeks end here; default: 2017-09-01, with vllm 2017-08-01."),
    ] = None,
    live_seconds: Annotated[
        float | None,
        typer.Option(min=5, help="Seconds that the live weeks take; default: 90, with vllm 180."),
    ] = None,
    train_scale: Annotated[
        float | None, typer.Option(min=0.01, help="Cases to train on, times the usual; default: 0.5.")
    ] = None,
    language_scale: Annotated[
        float | None,
        typer.Option(min=0.001, help="Steps to train a language model; default: 0.1 of the usual."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Replay real months, train on them, then answer and settle questions about the weeks that stream in.

    Exit 1 if a twin differs from the lake, a bad message got lost, or queries stayed without an answer.
    """
    from streams.demo.report import complaints
    from streams.demo.story import tell

    console = Console(stderr=as_json, highlight=False)
    began = time.monotonic()
    plan = _plan(
        decider,
        customers=customers,
        train_until=None if train_until is None else train_until.replace(tzinfo=UTC),
        until=None if until is None else until.replace(tzinfo=UTC),
        live_s=live_seconds,
        train_scale=train_scale,
        language_scale=language_scale,
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


def _plan(decider: str, **given: Any) -> Plan:
    """The decider's usual plan, with what was given in its place. Raises `UsageError`."""
    from streams.demo.story import USUAL_PLANS

    if decider not in USUAL_PLANS:
        raise UsageError(f"--decider {decider}: the demo has {', '.join(USUAL_PLANS)}")
    return replace(
        USUAL_PLANS[decider], **{name: value for name, value in given.items() if value is not None}
    )


def _show(console: Console, report: dict[str, Any], folder: Path) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    shown = report | _of_model(report)
    for name, meaning in ROWS:
        value = shown.get(name, "")
        if value != "":
            table.add_row(f"[bold]{'–' if value is None else f'{value:,}'}", meaning)
    console.print(table)
    console.print(f"\nreport: {folder / 'report.json'}   picture: {folder / 'report.png'}")
    for lack, count in report["degraded"].items():
        console.print(f"{count:,} answers lack something: {lack}")
    for segment, adapter in report["adapters"].items():
        console.print(f"{segment}: its adapter was released to be seen at work, whatever its gate says:")
        for kind, found in adapter["verdict"]["kinds"].items():
            console.print(f"  {kind}: {'passed' if found['passed'] else '; '.join(found['reasons'])}")
    if example := report["example"]:
        console.print("\nto look around in what is left of it:", style="bold")
        console.print("  source .venv/bin/activate")
        console.print(f"  export TWINS_CONFIG={folder / 'twins.toml'}")
        console.print("  twins broker start")
        console.print(f"  twins show {example['customer']}")
        if "sku" in example:
            console.print(f"  twins ask {example['customer']} --sku {example['sku']}")
        console.print("  twins broker stop")


def _of_model(report: dict[str, Any]) -> dict[str, Any]:
    """The language model's part of the report, as rows; none where none was to answer."""
    if report["decider"] == "evidence":
        return {}
    by, same = report["answered_by"], report["same_questions"] or {}
    return {
        "answers_of_model": by.get(report["decider"], 0),
        "answers_of_evidence": by.get("evidence", 0),
        "auc_of_model": same.get(report["decider"], {}).get("auc"),
        "auc_of_evidence_there": same.get("evidence", {}).get("auc"),
    }
