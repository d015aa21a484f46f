"""`twins status`: what runs on this machine, how far behind it is, and what it has done."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Annotated

import typer

from streams.errors import TwinsError
from streams.live_score import LiveScore
from streams.live_view import Rates, screen
from streams.overview import Observer
from streams.settings import Settings, load_settings


def register(app: typer.Typer) -> None:
    """Add the `status` command."""
    app.command("status")(status)


def status(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show the running processes with their lag, rates and latencies. Exit 1 unless Kafka and a process are up."""
    settings = load_settings()
    with contextlib.closing(Observer(settings)) as observer:
        seen = observer.look()
    score = _score(settings) if seen.reachable else None
    if as_json:
        scored = score.as_json() if score is not None else {"score": None, "score_by_kind": {}}
        typer.echo(json.dumps(seen.as_json() | scored))
    else:
        from rich.console import Console

        if not seen.parts:
            typer.echo(f"nothing runs here (looked in {settings.data_dir / 'run'}); start it with `twins up`")
        width = None if sys.stdout.isatty() else 160
        kinds = {kind: tally.score() for kind, tally in score.kinds.items()} if score is not None else {}
        overall = score.all.score() if score is not None else None
        Console(width=width).print(screen(seen, Rates.between(None, seen), overall, kinds))
    if not (seen.reachable and seen.parts):
        raise typer.Exit(1)


def _score(settings: Settings) -> LiveScore | None:
    """The score of all outcomes so far; None if Kafka does not answer."""
    try:
        found = LiveScore(settings)
    except TwinsError:
        return None
    with contextlib.closing(found):
        found.load()
    return found
