"""`twins drift show [SEGMENT]`: what each window measured, and which segments tripped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from streams.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the `drift` command group."""
    group = typer.Typer(no_args_is_help=True, help="How well twins and answers still fit their models.")
    group.callback()(_nothing)
    group.command("show")(show)
    app.add_typer(group, name="drift")


def show(
    segment: Annotated[str | None, typer.Argument(help="Only this segment.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many windows of each segment.")] = 12,
    plot: Annotated[Path | None, typer.Option(help="Write a picture (png) here too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a window a line.")] = False,
) -> None:
    """The readings of each segment, the oldest first, with what was beyond its threshold."""
    from streams.drift_readings import read_drift

    found = read_drift(load_settings(), segment, last)
    for each in found.readings:
        trip = found.trip_of(each)
        if as_json:
            row = each.model_dump(mode="json") | {"tripped": trip is not None}
            typer.echo(json.dumps(row))
            continue
        sizes = ", ".join(f"{name} {each.sizes[name]:g}" for name in each.beyond) or "calm"
        mark = "  TRIPPED" if trip is not None else ""
        typer.echo(
            f"{each.window_end:%Y-%m-%d}  {each.segment:20} {each.visits:6,} trips {each.options:7,} options "
            f" {sizes}{mark}"
        )
    if not found.readings and not as_json:
        typer.echo("no window has been read yet; is the drift process running?")
    if plot is not None:
        from streams.drift_picture import draw

        draw(found, plot)
        typer.echo(f"picture: {plot}", err=as_json)


def _nothing() -> None:
    """Makes it a group though it has one command."""
