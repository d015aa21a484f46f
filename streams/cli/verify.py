"""`twins verify`: recompute every profile from the lake and compare."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from streams.settings import load_settings
from streams.verify import Verification, verify


def register(app: typer.Typer) -> None:
    """Add the `verify` command."""
    app.command("verify")(verify_command)


def verify_command(
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds the lake may take to catch up with the twins.")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recompute every twin from the event lake and compare it with its published profile, hash for hash.

    Exit 1 if any differs. It may run at any time, also while events stream in.
    """
    found = verify(load_settings(), wait)
    typer.echo(json.dumps(found.as_json()) if as_json else _text(found))
    if found.divergent:
        raise typer.Exit(1)


def _text(found: Verification) -> str:
    lines = [
        f"divergent {found.divergent:,} / {found.total:,} twins"
        f"  (recomputed from {found.receipts:,} receipts and {found.clicks:,} clicks in {found.wall_s:.1f} s)"
    ]
    if found.unsettled:
        lines.append(f"left out: {found.unsettled:,} whose link or erasure is on its way; verify again later")
    for divergence in found.divergences:
        lines.append(f"customer {divergence.customer_id}")
        lines += [f"  {difference}" for difference in divergence.differences]
    if found.divergent > len(found.divergences):
        lines.append(f"... and {found.divergent - len(found.divergences):,} more")
    return "\n".join(lines)
