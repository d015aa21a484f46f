"""`twins run NAME`: one process of the system, until it is told to stop."""

from __future__ import annotations

import os
import signal
import threading
from typing import Annotated

import typer

from streams.processes import PROCESSES, process_called
from streams.settings import load_settings

PARENT_CHECK_S = 1.0
NAMES = ", ".join(process.name for process in PROCESSES)


def register(app: typer.Typer) -> None:
    """Add the `run` command."""
    app.command("run")(run)


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of: {NAMES}.")],
    member: Annotated[
        str, typer.Option(help="Tells the processes of one kind apart: stable over restarts, never shared.")
    ] = "0",
    as_json: Annotated[bool, typer.Option("--json", help="Log one JSON object a line.")] = False,
    parent: Annotated[
        int | None, typer.Option(hidden=True, help="Stop when this process is no longer the parent.")
    ] = None,
) -> None:
    """Run one process in the foreground. SIGTERM or Ctrl-C ends it after what is in flight is committed."""
    process = process_called(name)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if parent is not None:
        threading.Thread(target=_watch, args=(parent, stop), name="parent", daemon=True).start()
    settings = load_settings()
    if as_json:
        settings = settings.model_copy(update={"log_format": "json"})
    process.run(settings, stop, member)


def _watch(parent: int, stop: threading.Event) -> None:
    """A supervisor that was killed cannot stop its children: they see that it has gone."""
    while not stop.wait(PARENT_CHECK_S):
        if os.getppid() != parent:
            stop.set()
