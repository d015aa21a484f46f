"""The updater as it runs in production, telling what each batch cost: the child of `benchmarks.updaters`.

    python -m benchmarks.measured_updater MEMBER

A line on stdout for every batch that was committed. Nothing of the updater is replaced: the clock and the processor
time are read where it reports to its metrics anyway.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Sequence

import msgspec
from prometheus_client import Counter

from benchmarks.batches import Batch
from streams.settings import Settings, load_settings
from streams.telemetry import Telemetry
from streams.updater import process


class TellingTelemetry(Telemetry):
    """The metrics of an updater, and a line on stdout a batch."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(process.NAME, settings)
        self._began = (0.0, 0.0)
        self._tick_cpu_s = 0.0

    def beat(self) -> None:
        """The lane calls it once a round, when it has taken a batch and before it handles it."""
        super().beat()
        self._began = (time.monotonic(), time.process_time())

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """The counter of lines tells of each batch what it is increased by; that of ticks comes just before."""
        counter = super().counter(name, help, labels)
        count = counter.inc
        if name == "tick_cpu_seconds":

            def count_and_keep(amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
                count(amount, exemplar)
                self._tick_cpu_s += amount

            counter.inc = count_and_keep  # type: ignore[method-assign]
        if name == "lines":

            def count_and_tell(amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
                count(amount, exemplar)
                if amount:
                    self._tell(int(amount))

            counter.inc = count_and_tell  # type: ignore[method-assign]
        return counter

    def _tell(self, lines: int) -> None:
        began, cpu_began = self._began
        batch = Batch(began, time.monotonic(), cpu_began, time.process_time(), lines, self._tick_cpu_s)
        self._tick_cpu_s = 0.0
        print(msgspec.json.encode(batch).decode(), flush=True)


def main() -> None:
    """Run until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = load_settings()
    with TellingTelemetry(settings) as telemetry:
        process.run(settings, stop, sys.argv[1], telemetry)


if __name__ == "__main__":
    main()
