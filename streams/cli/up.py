"""`twins up`: the whole system on this machine, under one supervisor, with a live view."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from streams.broker import dev_broker, is_reachable
from streams.errors import UsageError
from streams.live_score import LiveScore
from streams.live_view import Rates, line, screen
from streams.overview import Observer
from streams.processes import PROCESS_BY_NAME, PROCESSES, process_called
from streams.settings import METRICS_PORT, Settings, kafka_client_config, load_settings
from streams.supervisor import Supervisor
from streams.telemetry import running_processes
from streams.topic_admin import apply_topics
from streams.vllm_python import vllm_python

DECIDERS = ("evidence", "vllm", "openai")
LOOK_EVERY_S = 1.0
LINE_EVERY_S = 10.0
ANSWER_TIMEOUT_S = 3.0


def register(app: typer.Typer) -> None:
    """Add the `up` command."""
    app.command("up")(up)


def up(
    processes: Annotated[
        str | None,
        typer.Option(help="Only these, with commas, and how many of each: updater=2,lake,planner"),
    ] = None,
    decider: Annotated[
        str | None,
        typer.Option(
            help="Who answers: evidence; vllm or openai, with evidence in its stead. Default: the setting."
        ),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="A line now and then, no live view.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object now and then.")] = False,
) -> None:
    """Run all parts on this machine until Ctrl-C: broker if none answers, topics, processes, live view."""
    wanted = parse_processes(processes)
    settings = with_decider(with_metrics(load_settings()), decider)
    refuse_if_running(settings)
    if settings.decider == "vllm":
        vllm_python(settings)  # said before a broker is started
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logging.basicConfig(level=logging.ERROR)  # what the supervisor warns of is in the view
    with broker_for(settings, typer.echo if not as_json else _quiet):
        apply_topics(settings)
        supervisor = Supervisor(settings, wanted)
        supervisor.start()
        try:
            if as_json or plain or not sys.stdout.isatty():
                _print_lines(settings, supervisor, stop, as_json)
            else:
                _show(settings, supervisor, stop)
        finally:
            if not as_json:
                typer.echo("stopping: what is in flight is committed first")
            for child in supervisor.stop():
                typer.echo(
                    f"{child.name}-{child.member} did not end and was killed; see {child.log}", err=True
                )


def parse_processes(text: str | None) -> list[tuple[str, str]]:
    """`updater=2,lake` as name and member of each; all processes once for None. Raises `UsageError`."""
    if text is None:
        return [(process.name, "0") for process in PROCESSES]
    wanted = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, count = part.partition("=")
        process_called(name)
        if equals and not (count.isdecimal() and 0 < int(count) < 100):
            raise UsageError(f"--processes {part}: {count!r} is not a number of processes")
        wanted += [(name, str(member)) for member in range(int(count) if equals else 1)]
    if not wanted:
        raise UsageError(f"--processes names none; the processes are {', '.join(PROCESS_BY_NAME)}")
    return wanted


def with_metrics(settings: Settings) -> Settings:
    """The settings with metrics on: the view is made of them."""
    return settings if settings.metrics_port else settings.model_copy(update={"metrics_port": METRICS_PORT})


def with_decider(settings: Settings, name: str | None) -> Settings:
    """The settings with this decider; as they are for None. Raises `UsageError` if there is no such decider."""
    if name is None:
        return settings
    if name not in DECIDERS:
        raise UsageError(f"--decider {name}: there are {', '.join(DECIDERS)}")
    return settings.model_copy(update={"decider": name})


def refuse_if_running(settings: Settings) -> None:
    """Raise `UsageError` if this deployment runs here: members of the same name would fence each other."""
    running = running_processes(settings)
    if running:
        names = ", ".join(f"{process.process} (pid {process.pid})" for process in running)
        raise UsageError(f"this deployment runs already: {names}; stop it, or set another TWINS_DATA_DIR")


@contextmanager
def broker_for(settings: Settings, say: Callable[[str], object]) -> Iterator[None]:
    """A broker that answers: the one of the settings, or else a local one, ended again on the way out.

    Raises `TwinsError` if there is none and none can be started here.
    """
    if is_reachable(kafka_client_config(settings), ANSWER_TIMEOUT_S):
        yield
        return
    broker = dev_broker(settings)
    say(f"no broker at {settings.kafka_bootstrap}: starting one (data in {broker.data_dir})")
    broker.start()
    try:
        yield
    finally:
        broker.stop()


def _print_lines(settings: Settings, supervisor: Supervisor, stop: threading.Event, as_json: bool) -> None:
    before, printed = None, 0.0
    with (
        contextlib.closing(Observer(settings)) as observer,
        contextlib.closing(LiveScore(settings)) as score,
    ):
        while not stop.is_set():
            supervisor.tend()
            if time.monotonic() - printed >= LINE_EVERY_S:
                seen = observer.look()
                score.poll()
                rates = Rates.between(before, seen)
                shown = json.dumps(seen.as_json() | score.as_json()) if as_json else None
                typer.echo(shown or line(seen, rates, score.all.score()))
                before, printed = seen, time.monotonic()
            stop.wait(LOOK_EVERY_S)


def _show(settings: Settings, supervisor: Supervisor, stop: threading.Event) -> None:
    from rich.live import Live

    before = None
    with (
        contextlib.closing(Observer(settings)) as observer,
        contextlib.closing(LiveScore(settings)) as score,
        Live(refresh_per_second=4) as live,
    ):
        while not stop.is_set():
            supervisor.tend()
            seen = observer.look()
            score.poll()
            kinds = {kind: tally.score() for kind, tally in score.kinds.items()}
            rates = Rates.between(before, seen)
            live.update(screen(seen, rates, score.all.score(), kinds, supervisor.children))
            before = seen
            stop.wait(LOOK_EVERY_S)


def _quiet(_text: str) -> None:
    """Says nothing."""
