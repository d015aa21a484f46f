"""The processes of the system in one table: how each starts, and what it reads. `twins run NAME` runs one.

Nothing of a process is imported before it starts: each needs only the packages of its own role.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from streams.errors import TwinsError, UsageError
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topics import (
    ASKS,
    CATALOG,
    CLICKSTREAM,
    CUSTOMERS,
    ERASURE,
    OUTCOMES,
    PREDICTIONS,
    PROFILES,
    PROMOTIONS,
    QUERIES,
    REQUESTS,
    TRANSACTIONS,
    TRANSFERS,
    Topic,
)

Start = Callable[[Settings, threading.Event, str], object]
"""Runs until the event is set: settings, stop, member."""


@dataclass(frozen=True)
class Process:
    """One process. `reads` are the topics whose lag is its backlog, as consumer group `name`; `extra` is the
    optional dependency that it needs."""

    name: str
    start: Start
    reads: tuple[Topic, ...] = ()
    extra: str | None = None

    def run(self, settings: Settings, stop: threading.Event, member: str = "0") -> None:
        """Run until `stop` is set. Raises `TwinsError` when its packages are missing or it cannot go on."""
        try:
            self.start(settings, stop, member)
        except ModuleNotFoundError as error:
            if self.extra is None or (error.name or "").partition(".")[0] in (
                "streams",
                "trainer",
                "twin_store",
            ):
                raise
            raise TwinsError(
                f"the {self.name} needs {error.name}, which is not installed: "
                f"pip install 'shopping-twins[{self.extra}]'"
            ) from error


def _updater(settings: Settings, stop: threading.Event, member: str) -> None:
    from streams.updater import process

    with Telemetry(process.NAME, settings) as telemetry:
        process.run(settings, stop, member, telemetry)


def _lake(settings: Settings, stop: threading.Event, member: str) -> None:
    from streams import lake_writer

    with Telemetry(lake_writer.NAME, settings) as telemetry:
        lake_writer.run(settings, stop, telemetry)


def _indexer(settings: Settings, stop: threading.Event, member: str) -> None:
    from streams import indexer

    with Telemetry(indexer.NAME, settings) as telemetry:
        indexer.run(settings, stop, telemetry, member)


def _planner(settings: Settings, stop: threading.Event, member: str) -> None:
    from streams.agents import process

    process.run(settings, stop, member)


def _worker(settings: Settings, stop: threading.Event, member: str) -> None:
    from streams.worker import process

    with Telemetry(process.NAME, settings) as telemetry:
        process.run(settings, stop, member, telemetry)


def _settler(settings: Settings, stop: threading.Event, member: str) -> None:
    from streams.settler import process

    with Telemetry(process.NAME, settings) as telemetry:
        process.run(settings, stop, member, telemetry)


def _console(settings: Settings, stop: threading.Event, member: str) -> None:
    from streams.console import process

    with Telemetry(process.NAME, settings) as telemetry:
        process.run(settings, stop, telemetry)


def _drift(settings: Settings, stop: threading.Event, member: str) -> None:
    from streams.agents import drift_process

    drift_process.run(settings, stop, member)


def _scheduler(settings: Settings, stop: threading.Event, member: str) -> None:
    from streams.schedule import process

    with Telemetry(process.NAME, settings) as telemetry:
        process.run(settings, stop, member, telemetry)


PROCESSES: tuple[Process, ...] = (
    Process("updater", _updater, (TRANSACTIONS, CLICKSTREAM, CUSTOMERS, TRANSFERS, ERASURE)),
    Process(
        "lake",
        _lake,
        (TRANSACTIONS, CLICKSTREAM, CUSTOMERS, CATALOG, PROMOTIONS, PREDICTIONS, OUTCOMES, ERASURE),
    ),
    Process("indexer", _indexer, (CATALOG,), "index"),
    Process("planner", _planner, (PROFILES, ASKS, CLICKSTREAM, REQUESTS), "agents"),
    Process("worker", _worker, (QUERIES,), "evidence"),
    Process("settler", _settler, (PREDICTIONS,)),
    Process("drift", _drift, (PROFILES, OUTCOMES), "agents"),
    Process("scheduler", _scheduler, (), "trainer"),
    Process("console", _console),
)
PROCESS_BY_NAME = {process.name: process for process in PROCESSES}


def process_called(name: str) -> Process:
    """A process by its name. Raises `UsageError`."""
    found = PROCESS_BY_NAME.get(name)
    if found is None:
        raise UsageError(f"there is no process {name!r}; the processes are {', '.join(PROCESS_BY_NAME)}")
    return found
