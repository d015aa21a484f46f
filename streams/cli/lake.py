"""`twins lake status|compact`: what the event lake holds, and tidying it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from streams.errors import TwinsError
from streams.settings import load_settings
from twin_store.lake import GRACE_S, Lake, LakeError, LakeSummary, compact, summarise

HOUR_S = 3_600.0
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
# A writer may take a quarter of an hour to commit what it has written: an hour is safe.
Grace = Annotated[
    float,
    typer.Option(
        "--grace-hours", min=1, max=168, help="Remove files that have been out of use longer than this."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the `lake` command group."""
    group = typer.Typer(no_args_is_help=True, help="Inspect and tidy the event lake.")
    group.command("status")(status)
    group.command("compact")(compact_)
    app.add_typer(group, name="lake")


def status(as_json: Json = False) -> None:
    """Print what the lake holds, from when to when, and how far each Kafka partition is in it."""
    with _explained():
        summary = summarise(Lake(load_settings().lake))
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(summary) | {"partitions": _partitions(summary)}, indent=2))
    else:
        _print(summary)


def compact_(grace_hours: Grace = GRACE_S / HOUR_S, as_json: Json = False) -> None:
    """Merge small files, carry out pending erasures, remove what is out of use. Safe while the lake is written."""
    with _explained():
        done = compact(Lake(load_settings().lake).log, grace_s=grace_hours * HOUR_S)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(done), indent=2))
    else:
        typer.echo(
            f"generation {done.generation}: {done.files_before} files are now {done.files_after};"
            f" {done.rows_erased} rows erased, {done.files_removed} old files removed"
        )


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except LakeError as error:
        raise TwinsError(str(error)) from error


def _partitions(summary: LakeSummary) -> list[dict[str, object]]:
    return [
        {
            "topic": reach.topic,
            "partition": reach.partition,
            "next_offset": reach.end,
            "skipped": reach.skipped,
            "dropped": reach.dropped,
        }
        for reach in summary.partitions
    ]


def _print(summary: LakeSummary) -> None:
    typer.echo(
        f"{summary.url}: {summary.currency}, {summary.buckets} buckets, generation {summary.generation}"
        f" and {summary.manifests} manifests since; {summary.erased} ids erased,"
        f" {summary.erasures_pending} of them not yet on disk"
    )
    for table in summary.tables:
        typer.echo(
            f"{table.table:<13} {table.rows:>12,} rows {table.files:>7,} files {table.bytes / 2**20:>10,.1f} MiB"
            f"  {table.first_day} to {table.last_day}"
        )
    for reach in summary.partitions:
        left_out = f"  {reach.skipped} no valid message, {reach.dropped} erased"
        typer.echo(
            f"{reach.topic}[{reach.partition}] up to offset {reach.end}"
            + (left_out if reach.skipped or reach.dropped else "")
        )
