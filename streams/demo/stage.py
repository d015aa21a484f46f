"""What the demo plays on: a broker and processes of its own in one folder, phases that are announced and timed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import TopicPartition

from streams.broker import DevBroker, free_port
from streams.errors import TwinsError, UsageError
from streams.kafka import consumer, topic_name
from streams.overview import Observer
from streams.positions import PositionReader, lag
from streams.processes import process_called
from streams.settings import Settings
from streams.supervisor import Supervisor, child_environment
from streams.topic_admin import apply_topics
from streams.topics import TOPICS, Topic

CATCH_UP_S = 300.0
QUIET_S = 4.0
POLL_S = 0.2
SAY_EVERY_S = 10.0
METRICS_PORT = 19300
LAKE_FLUSH_S = 3.0
SETTINGS_FILE = "twins.toml"
OF_OTHERS = {
    "drift",
    "drift-report.json",
    "drift-report.png",
}  # another demo's, which plays in a folder of its own
Say = Callable[[str], None]
MoreSettings = Callable[[Path], Mapping[str, Any]]


def evidence_alone(_data: Path) -> Mapping[str, Any]:
    """The settings as they are."""
    return {}


class Stage:
    """One run of the demo. As a context manager it ends everything that it started."""

    def __init__(self, folder: Path, say: Say, more_settings: MoreSettings = evidence_alone) -> None:
        """Empties `folder`. `more_settings` gives those that differ from the demo's usual ones, from the data folder.

        Raises `UsageError` if there is something in the folder that no demo has put there.
        """
        _clear(folder)
        self.folder = folder
        self.say = say
        self.phases: dict[str, float] = {}
        self._said_at = 0.0
        data = folder / "data"
        self._broker = DevBroker(data / "broker", free_port())
        usual: dict[str, Any] = {
            "kafka_bootstrap": self._broker.bootstrap,
            "data_dir": data,
            "lake_url": "",
            "models_url": "",
            "topic_prefix": "",
            "qdrant_url": None,
            "lake_flush_s": LAKE_FLUSH_S,
            "metrics_port": METRICS_PORT,
        }
        self.settings = Settings(**usual | dict(more_settings(data)))
        self._supervisors: list[Supervisor] = []
        self._positions: PositionReader | None = None
        self._observer = Observer(self.settings)

    def __enter__(self) -> Stage:
        with self.phase("an empty broker and its topics"):
            self._broker.start()
            apply_topics(self.settings)
        self._positions = PositionReader(self.settings)
        self._write_settings()
        return self

    def __exit__(self, *_: object) -> None:
        for supervisor in reversed(self._supervisors):
            supervisor.stop()
        self._observer.close()
        if self._positions is not None:
            self._positions.close()
        self._broker.stop()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Announce a part of the demo, and say how long it took."""
        began = time.monotonic()
        self.say(f"… {name}")
        yield
        self.phases[name] = round(time.monotonic() - began, 2)
        self.say(f"✓ {name} ({self.phases[name]:.1f} s)")

    def start(self, names: Iterable[str]) -> None:
        """Start these processes."""
        supervisor = Supervisor(self.settings, [(name, "0") for name in names])
        supervisor.start()
        self._supervisors.append(supervisor)

    def check(self) -> None:
        """Raise `TwinsError` if a process has died: in the demo none may."""
        for supervisor in self._supervisors:
            for child in supervisor.tend():
                raise TwinsError(f"the {child.name} ended: {child.last_words()} (see {child.log})")

    def wait_until_read(self, names: Iterable[str]) -> None:
        """Until these processes have dealt with everything that is there for them."""
        waiting = list(names)
        deadline = time.monotonic() + CATCH_UP_S
        while waiting:
            self.check()
            waiting = [name for name in waiting if self.lag(name)]
            if waiting and time.monotonic() > deadline:
                behind = ", ".join(f"{name} by {self.lag(name):,} records" for name in waiting)
                raise TwinsError(
                    f"still behind after {CATCH_UP_S:.0f} s: {behind}; see {self.settings.data_dir / 'logs'}"
                )
            time.sleep(POLL_S if waiting else 0)

    def wait_until_ready(self, names: Iterable[str]) -> None:
        """Until these processes say that they do their work: state restored, partitions assigned, models loaded."""
        waiting = set(names)

        def are_ready() -> bool:
            waiting.difference_update(p.name for p in self._observer.look().parts if p.state == "ready")
            return not waiting

        self.wait_for(are_ready, f"the readiness of {', '.join(sorted(waiting))}")

    def wait_for(self, is_so: Callable[[], bool], what: str, timeout_s: float = CATCH_UP_S) -> None:
        """Until something is so. Raises `TwinsError` when it takes too long, or a process has died."""
        deadline = time.monotonic() + timeout_s
        while not is_so():
            self.check()
            if time.monotonic() > deadline:
                raise TwinsError(
                    f"{what} did not come within {timeout_s:.0f} s; see {self.settings.data_dir / 'logs'}"
                )
            time.sleep(POLL_S)

    def metric(self, name: str) -> float:
        """A metric of the processes that run, added up."""
        return self._observer.metrics()[name]

    def say_how_far(self, reached: str) -> None:
        """A line on what has been done so far; does nothing if the last one is not `SAY_EVERY_S` ago."""
        if time.monotonic() - self._said_at < SAY_EVERY_S:
            return
        self._said_at = time.monotonic()
        seen = self._observer.look()
        took = seen.latencies["freshness_ms_p50"]
        done = ", ".join(f"{seen.totals[name]:,.0f} {name}" for name in ("queries", "predictions", "settled"))
        fresh = "" if took is None else f", receipt to profile {took:,.0f} ms"
        self.say(f"  {reached}: {done}{fresh}")

    def lag(self, name: str) -> int:
        """How many records a process has not dealt with."""
        topics = process_called(name).reads
        return lag(self._reader.ends(topics), self._reader.committed(name, topics))

    def wait_until_quiet(self, names: Iterable[str]) -> None:
        """Until these processes have read everything and nothing has been published for a while.

        One process's output is another's input: that all are up to date at one moment is not the end yet.
        """
        known = list(names)
        ends: dict[tuple[Topic, int], int] = {}
        heard = time.monotonic()
        deadline = heard + CATCH_UP_S
        while time.monotonic() - heard < QUIET_S:
            if time.monotonic() > deadline:
                raise TwinsError(f"the topics did not come to rest within {CATCH_UP_S:.0f} s")
            self.wait_until_read(known)
            now = self._reader.ends(TOPICS)
            if now != ends:
                heard, ends = time.monotonic(), now
            time.sleep(POLL_S)

    def start_at_end(self, group: str, topics: Iterable[Topic]) -> None:
        """Let a group that has not read yet begin with what comes from now on."""
        ends = self._reader.ends(topics)
        reader = consumer(self.settings, group)
        try:
            names = {topic: topic_name(self.settings, topic) for topic, _ in ends}
            reader.commit(
                offsets=[TopicPartition(names[topic], p, end) for (topic, p), end in ends.items()],
                asynchronous=False,
            )
        finally:
            reader.close()

    def run_together(self, *commands: Sequence[str]) -> None:
        """Several `twins` commands, one a core at a time. Raises `TwinsError` if one fails, once all have ended."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            running = [pool.submit(self.run, *command) for command in commands]
        for each in running:
            each.result()

    def run(self, *arguments: str, on_line: Say = lambda line: None) -> None:
        """One `twins` command in a process of its own; `on_line` is told what it prints.

        Raises `TwinsError` with its last words if it fails.
        """
        command = [sys.executable, "-m", "streams.cli", *arguments]
        said: list[str] = []
        with subprocess.Popen(
            command,
            env=child_environment(self.settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line.rstrip())
                on_line(said[-1])
        if process.returncode:
            words = "\n".join(said[-20:])
            raise TwinsError(f"`twins {' '.join(arguments)}` failed with code {process.returncode}:\n{words}")

    @property
    def _reader(self) -> PositionReader:
        assert self._positions is not None, "the stage is not set: use it as a context manager"
        return self._positions

    def _write_settings(self) -> None:
        """A settings file with which the other commands speak to what the demo leaves behind."""
        lines = [
            f'kafka_bootstrap = "{self.settings.kafka_bootstrap}"',
            f'data_dir = "{self.settings.data_dir.resolve()}"',
            f"lake_flush_s = {LAKE_FLUSH_S}",
        ]
        if self.settings.vllm_model is not None:
            lines.append(f'vllm_model = "{self.settings.vllm_model.resolve()}"')
        (self.folder / SETTINGS_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _clear(folder: Path) -> None:
    left_behind = {"data", SETTINGS_FILE, "report.json", "report.png"}
    strange = {path.name for path in folder.glob("*")} - left_behind - OF_OTHERS
    if strange:
        raise UsageError(
            f"{folder} holds {', '.join(sorted(strange))}, which no demo has put there; name another --folder"
        )
    for name in left_behind:
        path = folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
