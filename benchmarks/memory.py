"""What each process of the system has in memory, all of them at work on one machine.

    python -m benchmarks.memory [--customers N] [--json]

On a stage as the demo has it: a broker, and the processes under the supervisor, as `twins up` runs them. Receipts of
five months have gone through and models are trained on them; another month is answered and settled. Then it is
read what is resident, shared pages included.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.command import run_alone
from benchmarks.machine import memory_bytes
from benchmarks.progress import say
from streams.broker import free_port
from streams.demo.stage import Stage
from streams.processes import PROCESSES
from streams.sources.complete_journey import CompleteJourney
from streams.sources.record import Record
from streams.sources.schedule import publish
from streams.telemetry import running_processes
from streams.topics import CATALOG, CUSTOMERS, PROFILES, TRANSACTIONS

TRAIN_UNTIL = datetime(2017, 6, 1, tzinfo=UTC)
UNTIL = datetime(2017, 7, 1, tzinfo=UTC)
TRAIN_SCALE = 0.1
PRODUCTS = 1_000  # more of them take time to embed
LEARNING = ("updater", "lake", "indexer")
ALL = tuple(process.name for process in PROCESSES)


def measure(customers: int = 60) -> dict[str, Any]:
    """MiB by process."""
    with tempfile.TemporaryDirectory(prefix="twins-bench-") as folder:
        stage = Stage(Path(folder) / "stage", say)
        # The port that is set by default may belong to somebody else here.
        stage.settings = stage.settings.model_copy(update={"console_port": free_port()})
        with stage:
            _work(stage, customers)
            found: dict[str, Any] = {"customers": customers}
            for process in running_processes(stage.settings):
                found[f"{process.process}_mib"] = round(memory_bytes(process.pid) / 2**20)
    return found


def _work(stage: Stage, customers: int) -> None:
    """Let every process do what it is there for."""
    stage.start(LEARNING)
    stage.wait_until_ready(LEARNING)
    publish(stage.settings, _past(customers))
    stage.wait_until_read(LEARNING)
    stage.run("train", "evidence", "--until", f"{TRAIN_UNTIL:%Y-%m-%d}", "--scale", str(TRAIN_SCALE))
    stage.start_at_end("planner", [PROFILES])
    rest = [name for name in ALL if name not in LEARNING]
    stage.start(rest)
    stage.wait_until_ready(rest)
    publish(
        stage.settings,
        CompleteJourney().records(
            from_=TRAIN_UNTIL, until=UNTIL, customers=customers, topics=(TRANSACTIONS,)
        ),
    )
    stage.wait_until_quiet([name for name in ALL if name != "console"])


def _past(customers: int) -> Iterator[Record]:
    journey = CompleteJourney()
    yield from itertools.islice(journey.records(topics=(CATALOG,)), PRODUCTS)
    yield from journey.records(until=TRAIN_UNTIL, customers=customers, topics=(CUSTOMERS, TRANSACTIONS))


if __name__ == "__main__":
    run_alone(__doc__, measure)
