"""`twins status`: what runs on this machine, how far behind it is, and what it has done."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from streams.errors import TwinsError
from streams.live_score import LiveScore, Score
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
    score: Score | None = None
    kinds: dict[str, Score] = {}
    if seen.reachable:
        score, kinds = _scores(settings)
    if as_json:
        scored = {kind: asdict(found) for kind, found in kinds.items()}
        typer.echo(json.dumps(seen.as_json() | {"score": score and asdict(score), "score_by_kind": scored}))
    else:
        from rich.console import Console

        if not seen.parts:
            typer.echo(f"nothing runs here (looked in {settings.data_dir / 'run'}); start it with `twins up`")
        width = None if sys.stdout.isatty() else 160
        Console(width=width).print(screen(seen, Rates.between(None, seen), score, kinds))
    if not (seen.reachable and seen.parts):
        raise typer.Exit(1)


def _scores(settings: Settings) -> tuple[Score | None, dict[str, Score]]:
    try:
        found = LiveScore(settings)
    except TwinsError:
        return None, {}
    try:
        found.load()
    finally:
        found.close()
    return found.all.score(), {kind: tally.score() for kind, tally in found.kinds.items()}
