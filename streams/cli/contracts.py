"""`twins contracts export`: the JSON Schemas, the AsyncAPI document and the table of topics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from streams.contracts import ContractError, export, stale_files


def register(app: typer.Typer) -> None:
    """Add the `contracts` command group."""
    group = typer.Typer(no_args_is_help=True)
    group.callback()(_group)  # keeps `export` a command of the group although it is the only one
    group.command("export")(export_contracts)
    app.add_typer(group, name="contracts")


def export_contracts(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a file is stale.")] = False,
    docs: Annotated[Path, typer.Option("--docs", help="The folder of the documentation.")] = Path("docs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Generate the contracts from the message models and the topic registry."""
    changed = stale_files(docs) if check else export(docs)
    if as_json:
        typer.echo(json.dumps({"stale" if check else "written": [str(path) for path in changed]}))
    else:
        for path in changed:
            typer.echo(f"{'stale' if check else 'written'} {path}")
    if check and changed:
        raise ContractError(f"{len(changed)} generated files are stale; run `make docs`")


def _group() -> None:
    """Export the message contracts."""
