"""`twins train challenger`: one segment's challenger, made and judged. The scheduler calls it.

Exit 0: `DIR/result.json` has the verdict, passed or not. Anything else: no model, and the last line says why.
"""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli.train_language import language_challenger
from streams.errors import TwinsError, UsageError
from streams.settings import Settings, load_settings
from twin_store.messages.base import format_instant

RESULT = "result.json"
SHELVES_WEEKS = 12
PARENT_CHECK_S = 1.0


def challenger(
    segment: Annotated[str, typer.Option(help="Whose, as `twins models list` shows it.")],
    run: Annotated[Path, typer.Option(help="A folder of this run alone, for what comes of it.")],
    decider: Annotated[
        str, typer.Option(help="What to train: `evidence`, or `vllm` for an adapter.")
    ] = "evidence",
    until: Annotated[
        datetime | None, typer.Option(help="Nothing from this moment on is read (UTC); default: all.")
    ] = None,
    scale: Annotated[float, typer.Option(min=0.01, max=10, help="How many cases, times the usual.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed and lake give the same models.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of LightGBM.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON too.")] = False,
    parent: Annotated[
        int | None, typer.Option(hidden=True, help="End when this process is no longer the parent.")
    ] = None,
) -> None:
    """Make a challenger of one segment and judge it against the champion on the days before `until`."""
    if parent is not None:
        threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()
    began = time.monotonic()

    def say(line: str) -> None:
        typer.echo(f"{time.monotonic() - began:6.1f} s  {line}", err=as_json)

    settings = load_settings()
    _must_be_a_segment(segment)
    if decider not in ("evidence", "vllm"):
        raise UsageError(f"--decider {decider}: there are evidence and vllm")
    try:
        run.mkdir(parents=True, exist_ok=True)
        result: dict[str, Any]
        if decider == "vllm":
            result = dict(language_challenger(settings, segment, until, scale, seed, threads, run, say))
        else:
            result = evidence_challenger(settings, segment, until, scale, seed, threads, say)
        result["train_s"] = round(time.monotonic() - began, 2)
        _write(run / RESULT, result)
    except OSError as error:
        raise TwinsError(f"{error.filename or run}: {error.strerror or error}") from error
    say(f"{result['version']}: {result['verdict']['reason']}")
    if as_json:
        typer.echo(json.dumps(result, indent=2))


def evidence_challenger(
    settings: Settings,
    segment: str,
    until: datetime | None,
    scale: float,
    seed: int,
    threads: int,
    say: Any,
) -> dict[str, Any]:
    """Train and judge, and store it as a candidate: what `result.json` has.

    Raises:
        UsageError: the segment has too little to learn from, or there is no champion: trying again changes nothing.
        TwinsError: the lake or the registry cannot be read now.
    """
    from trainer.challenger import Effort, make_challenger, publish_challenger
    from trainer.drift.snapshot import life_stages
    from trainer.fitted import DECIDER, Fitted
    from trainer.registry import Registry, RegistryError
    from trainer.tasks.history import History, NotEnoughHistoryError, after_the_newest
    from trainer.tasks.workshop import Workshop
    from twin_store.lake import Lake, LakeError
    from twin_store.segments import load_definitions

    effort = Effort(labels=int(Effort.labels * scale), seed=seed, threads=threads)
    registry = Registry(settings.models)
    line = f"{DECIDER}/{segment}"
    try:
        own = registry.current(line)
        champion_line, parent = (line, own) if own else (DECIDER, registry.current(DECIDER))
        if parent is None:
            raise UsageError("there is no model to challenge yet; fit one with `twins train evidence`")
        champion = Fitted.from_files(registry.load(champion_line, parent)[1], threads)
        lake = Lake(settings.lake)
        end = after_the_newest(lake) if until is None else until.replace(tzinfo=until.tzinfo or UTC)
        history = History.from_lake(lake, end, end - timedelta(weeks=SHELVES_WEEKS), say)
        stages = life_stages(lake.scan_customers(end).collect())
        workshop = Workshop(history, say)
        made = make_challenger(workshop, segment, champion, load_definitions(), effort, say, stages)
        created_at = format_instant(datetime.now(UTC))
        manifest = publish_challenger(
            registry, line, made, f"{champion_line}@{parent}", history.until, created_at, effort
        )
    except NotEnoughHistoryError as error:
        raise UsageError(str(error)) from None
    except (LakeError, RegistryError) as error:
        raise TwinsError(str(error)) from error
    return {
        "line": line,
        "version": manifest.version,
        "parent": manifest.parent,
        "manifest": f"{settings.models}/{line}/{manifest.version}/manifest.json",
        "verdict": made.verdict.to_json(),
        "customers": made.customers,
    }


def _must_be_a_segment(name: str) -> None:
    from twin_store.segments import load_definitions

    names = load_definitions().names
    if name not in names:
        raise UsageError(f"there is no segment {name!r}; there are {', '.join(names)}")


def _write(path: Path, result: dict[str, Any]) -> None:
    """Beside and moved: a result that is there is whole."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)


def _watch(parent: int) -> None:
    """A scheduler that was killed cannot end its trainings: they see that it has gone."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(70)
