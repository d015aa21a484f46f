"""Updaters in processes of their own, held to cores, whose batches are heard of as they are committed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import IO

import msgspec
from confluent_kafka import ConsumerGroupState, KafkaException

from benchmarks.batches import Batch
from benchmarks.machine import held_to
from streams.errors import TwinsError
from streams.kafka import admin, group_name
from streams.positions import PositionReader, lag
from streams.settings import Settings
from streams.supervisor import child_environment
from streams.topics import CUSTOMERS, PRODUCT_DELTAS, Topic
from streams.updater.process import NAME

POLL_S = 0.05
READY_TIMEOUT_S = 180.0  # the first start on a machine compiles
FOLD_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 60.0
KAFKA_TIMEOUT_S = 30.0


class Updater:
    """One process. `batches` grows as it commits."""

    def __init__(self, settings: Settings, member: str, cores: set[int]) -> None:
        self.batches: list[Batch] = []
        self._log = settings.data_dir / f"updater-{member}.log"
        command = [sys.executable, "-m", "benchmarks.measured_updater", member]
        with self._log.open("wb") as log, held_to(cores):
            self._process = subprocess.Popen(
                command, env=child_environment(settings), stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        self._listener = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise `TwinsError` if it has ended."""
        if self._process.poll() is not None:
            raise TwinsError(
                f"an updater ended with code {self._process.returncode}:\n{self._log.read_text()[-4_000:]}"
            )

    def stop(self) -> None:
        """Let it commit what is in flight and end; killed if it does not."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()

    def _listen(self, told: IO[str]) -> None:
        for line in told:
            self.batches.append(msgspec.json.decode(line, type=Batch))


class Updaters:
    """The members of one deployment's updater group."""

    def __init__(self, settings: Settings, members: list[Updater]) -> None:
        self._settings = settings
        self._admin = admin(settings)
        self.members = members

    @property
    def batches(self) -> list[list[Batch]]:
        """The batches of each member."""
        return [list(member.batches) for member in self.members]

    def wait_for(self, lines: int, timeout_s: float = FOLD_TIMEOUT_S) -> None:
        """Until so many lines have been committed, all members together. Raises `TwinsError`."""
        deadline = time.monotonic() + timeout_s
        while (done := sum(batch.lines for each in self.batches for batch in each)) < lines:
            self._look(deadline, f"{done:,} of {lines:,} lines folded")
        if done > lines:
            raise TwinsError(f"{done:,} lines folded where {lines:,} were published: some were read twice")

    def wait_until_ready(self) -> None:
        """Until the partitions are shared out evenly and what customers said of themselves is folded."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._shared_out():
            self._look(deadline, "the partitions are not shared out")
        self._wait_until_read(CUSTOMERS, deadline)

    def wait_for_products(self) -> None:
        """Until what the receipts say of products has been added up and published."""
        self._wait_until_read(PRODUCT_DELTAS, time.monotonic() + FOLD_TIMEOUT_S)

    def _wait_until_read(self, topic: Topic, deadline: float) -> None:
        with contextlib.closing(PositionReader(self._settings)) as positions:
            while behind := lag(positions.ends([topic]), positions.committed(NAME, [topic])):
                self._look(deadline, f"{topic.name} is read but for {behind} records")

    def _look(self, deadline: float, state: str) -> None:
        for member in self.members:
            member.check()
        if time.monotonic() > deadline:
            raise TwinsError(f"the updaters take too long: {state}")
        time.sleep(POLL_S)

    def _shared_out(self) -> bool:
        name = group_name(self._settings, NAME)
        try:
            group = self._admin.describe_consumer_groups([name])[name].result(KAFKA_TIMEOUT_S)
        except KafkaException:
            return False  # a coordinator that has just been made is still loading
        held = [len(member.assignment.topic_partitions) for member in group.members]
        even = self._settings.partitions // len(self.members)
        return (
            group.state is ConsumerGroupState.STABLE
            and len(held) == len(self.members)
            and min(held) >= even
            and sum(held) == self._settings.partitions
        )


@contextlib.contextmanager
def running(settings: Settings, cores: Sequence[set[int]]) -> Iterator[Updaters]:
    """An updater for each set of cores, ready to fold; they are stopped on the way out."""
    updaters = Updaters(settings, [])
    try:
        for number, held in enumerate(cores):
            updaters.members.append(Updater(settings, str(number), held))
        updaters.wait_until_ready()
        yield updaters
    finally:
        for member in updaters.members:
            member.stop()
