"""`twins topics apply`: create or reconcile the topics and say what differed."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from streams.settings import load_settings
from streams.topic_admin import TopicChange, apply_topics


def register(app: typer.Typer) -> None:
    """Add the `topics` command group."""
    group = typer.Typer(no_args_is_help=True, help="Create and reconcile the Kafka topics.")
    group.callback()(_group)  # keeps `apply` a command of the group although it is the only one
    group.command("apply")(apply)
    app.add_typer(group, name="topics")


def apply(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Create missing topics, change what differs from the registry; running it again changes nothing."""
    changes = apply_topics(load_settings(), dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(change) for change in changes], indent=2))
        return
    for change in changes:
        typer.echo(_line(change))
    if dry_run:
        typer.echo("dry run: nothing was changed")


def _line(change: TopicChange) -> str:
    differences = ", ".join(f"{each.setting} {each.old} -> {each.new}" for each in change.differences)
    return f"{change.action:<8} {change.name}" + (f"  {differences}" if differences else "")


def _group() -> None:
    """Create and reconcile the Kafka topics."""
