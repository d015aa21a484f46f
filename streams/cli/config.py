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
    """Print the settings in force and where each came from; secrets are masked. `--json` adds the meaning."""
    settings = load_settings()
    sources = setting_sources(settings)
    rows = {
        name: {"value": value, "source": sources[name], "meaning": Settings.model_fields[name].description}
        for name, value in settings.model_dump(mode="json").items()
    }
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    shown = [("setting", "value", "from")]
    shown += [(name, _plain(row["value"]), str(row["source"])) for name, row in rows.items()]
    widths = [max(len(row[column]) for row in shown) for column in (0, 1)]
    for name, value, source in shown:
        typer.echo(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}")


def _plain(value: object) -> str:
    return "-" if value in (None, "") else str(value)
