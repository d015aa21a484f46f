"""`twins config`: every setting, its value (secrets masked) and where the value came from."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from streams.settings import Settings, load_settings, setting_sources


def register(app: typer.Typer) -> None:
    """Add the `config` command."""
    app.command("config")(config)


def config(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Print the settings in force and where each came from; secrets are masked."""
    settings = load_settings()
    values = settings.model_dump(mode="json")
    sources = setting_sources(settings)
    if as_json:
        rows = {name: {"value": value, "source": sources[name]} for name, value in values.items()}
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print_table(values, sources)


def _print_table(values: dict[str, object], sources: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "from", "meaning"):
        table.add_column(heading, overflow="fold")
    for name, value in values.items():
        shown = "-" if value in (None, "") else str(value)
        table.add_row(name, shown, sources[name], Settings.model_fields[name].description or "")
    Console().print(table)
