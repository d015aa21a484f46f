"""`twins train`: fit what answers, from the lake."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from streams.cli.train_language import SHELVES_WEEKS, adapter, base
from streams.errors import TwinsError, UsageError
from streams.settings import load_settings
from twin_store.messages.base import format_instant


def register(app: typer.Typer) -> None:
    """Add the `train` group."""
    group = typer.Typer(no_args_is_help=True, help="Fit the models that answer decision queries.")
    group.command("evidence")(evidence)
    group.command("base")(base)
    group.command("adapter")(adapter)
    app.add_typer(group, name="train")


def evidence(
    until: Annotated[
        datetime | None,
        typer.Option(help="Nothing from this date on is read (UTC); default: all, to the newest receipt."),
    ] = None,
    lake: Annotated[str | None, typer.Option(help="The lake's URL; default: the deployment's.")] = None,
    models: Annotated[str | None, typer.Option(help="The registry's URL; default: the deployment's.")] = None,
    scale: Annotated[
        float, typer.Option(min=0.01, max=10, help="How many cases to draw, times the usual.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed and lake give the same models.")] = 1,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads of LightGBM; more than one only on a machine that is idle.")
    ] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the version and its measures as JSON.")
    ] = False,
) -> None:
    """Fit the evidence models of every question kind, calibrate and measure them on later weeks, publish a version."""
    from trainer.fit_evidence import Effort, fit_evidence, publish_evidence
    from trainer.registry import Registry
    from trainer.tasks.history import History, NotEnoughHistoryError, after_the_newest
    from twin_store.lake import Lake, LakeError

    settings = load_settings()
    began = time.monotonic()

    def say(line: str) -> None:
        typer.echo(f"{time.monotonic() - began:6.1f} s  {line}", err=as_json)

    effort = Effort(seed=seed, threads=threads).times(scale)
    try:
        events = Lake(lake or settings.lake)
        end = after_the_newest(events) if until is None else until.replace(tzinfo=UTC)
        history = History.from_lake(events, end, end - timedelta(weeks=SHELVES_WEEKS), say)
        fitted, metrics = fit_evidence(history, effort, say)
    except NotEnoughHistoryError as error:
        raise UsageError(str(error)) from None
    except LakeError as error:
        raise TwinsError(str(error)) from None
    created_at = format_instant(datetime.now(UTC))
    manifest = publish_evidence(Registry(models or settings.models), fitted, metrics, end, created_at, effort)
    say(f"version {manifest.version} answers from now on")
    if as_json:
        print(json.dumps({"version": manifest.version, "metrics": manifest.metrics}, indent=2))
