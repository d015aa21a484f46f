"""`twins tasks`: decision tasks as tables on disk, from the lake."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from streams.errors import TwinsError, UsageError
from streams.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the `tasks` group."""
    group = typer.Typer(no_args_is_help=True, help="Decision tasks to learn and to judge by.")
    group.command("build")(build)
    group.callback()(lambda: None)
    app.add_typer(group, name="tasks")


def build(
    out: Annotated[Path, typer.Option(help="The folder to write tables into; it must be new or empty.")],
    until: Annotated[
        datetime | None,
        typer.Option(help="Nothing from this date on is read (UTC); default: all, to the newest receipt."),
    ] = None,
    lake: Annotated[str | None, typer.Option(help="The lake's URL; default: the deployment's.")] = None,
    each: Annotated[int, typer.Option(min=100, help="About how many rows of each task.")] = 40_000,
    seed: Annotated[int, typer.Option(help="The same seed and lake give the same tables.")] = 1,
    check: Annotated[
        bool, typer.Option(help="Hold the tasks against controls that must know nothing.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts and controls as JSON.")] = False,
) -> None:
    """Draw tasks of every kind, with their evidence as of their time; fail where an answer leaks into its question."""
    from trainer.tasks.build import build_tasks, check_leakage
    from trainer.tasks.history import NotEnoughHistoryError, after_the_newest
    from trainer.tasks.leakage import LeakageError
    from twin_store.lake import Lake, LakeError

    began = time.monotonic()

    def say(line: str) -> None:
        typer.echo(f"{time.monotonic() - began:6.1f} s  {line}", err=as_json)

    try:
        events = Lake(lake or load_settings().lake)
        end = after_the_newest(events) if until is None else until.replace(tzinfo=UTC)
        controls = check_leakage(events, end, seed, say=say) if check else []
        built = build_tasks(events, end, out, each, seed, say)
    except LeakageError as error:
        raise TwinsError(f"{error}; nothing was written") from None
    except (NotEnoughHistoryError, FileExistsError) as error:
        raise UsageError(str(error)) from None
    except LakeError as error:
        raise TwinsError(str(error)) from None
    for name, count in built.rows.items():
        say(f"{name}: {count:,} rows, {built.true[name]:,} came true")
    if as_json:
        print(json.dumps(asdict(built) | {"controls": [asdict(each) for each in controls]}, indent=2))
