"""One object a process: its metrics, its health, its run file and its logging."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from streams.settings import Settings
from streams.telemetry.endpoint import Endpoint
from streams.telemetry.logs import configure_logging
from streams.telemetry.run_files import RunFile, RunningProcess
from twin_store.messages.base import format_instant

STALLED_AFTER_S = 120.0
# From a millisecond to two minutes: freshness and latency of everything here lie in between.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class Telemetry:
    """Metrics and health of one process. Metric names come out as `twins_<process>_<name>`.

    `start` sets logging up, opens the endpoint if `TWINS_METRICS_PORT` (or `port`, where 0 means any free one)
    asks for one, and writes the run file; `stop` undoes it. As a context manager it does both.
    """

    def __init__(
        self,
        process: str,
        settings: Settings,
        *,
        port: int | None = None,
        stalled_after_s: float = STALLED_AFTER_S,
    ) -> None:
        self.process = process
        self.registry = CollectorRegistry()
        self._settings = settings
        self._port = port if port is not None else (settings.metrics_port or None)
        self._subsystem = process.replace("-", "_")
        self._stalled_after_s = stalled_after_s
        self._beat: float | None = None
        self._ready = False
        self._endpoint: Endpoint | None = None
        self._run_file: RunFile | None = None
        ProcessCollector(registry=self.registry)

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """A total that only grows; Prometheus sees it as `..._total`."""
        return Counter(name, help, labels, "twins", self._subsystem, registry=self.registry)

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Gauge:
        """A value that goes up and down."""
        return Gauge(name, help, labels, "twins", self._subsystem, registry=self.registry)

    def histogram(
        self, name: str, help: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        """Observations by bucket; durations in seconds fit the default buckets."""
        return Histogram(
            name, help, labels, "twins", self._subsystem, registry=self.registry, buckets=buckets
        )

    def start(self) -> Telemetry:
        """Set logging up, open the endpoint and write the run file."""
        configure_logging(self.process, self._settings)
        host = self._settings.bind_host
        if self._port is not None:
            self._endpoint = Endpoint(host, self._port, self.registry, self.health, self.readiness)
        started_at = format_instant(datetime.now(UTC))
        self._run_file = RunFile(
            self._settings, RunningProcess(self.process, os.getpid(), host, self.port, started_at)
        )
        return self

    def stop(self) -> None:
        """Close the endpoint and remove the run file."""
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None
        if self._run_file is not None:
            self._run_file.remove()
            self._run_file = None

    @property
    def port(self) -> int | None:
        """The port that the endpoint got; None without one."""
        return self._endpoint.port if self._endpoint is not None else None

    def ready(self, value: bool = True) -> None:
        """Say whether this process does its work now: state restored, partitions assigned, models loaded."""
        self._ready = value

    def beat(self) -> None:
        """Say that the loop is alive, once a round. After the first beat, silence makes `/healthz` fail."""
        self._beat = time.monotonic()

    def snapshot(self) -> dict[str, float]:
        """Every sample now, by its name and labels as Prometheus writes them; buckets left out."""
        samples = {}
        for metric in self.registry.collect():
            for sample in metric.samples:
                if not sample.name.endswith(("_bucket", "_created")):
                    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                    samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return samples

    def health(self) -> tuple[bool, str]:
        """What `/healthz` says: whether the loop is alive, and a word on it."""
        if self._beat is None:
            return True, "starting"
        silent_s = time.monotonic() - self._beat
        return silent_s < self._stalled_after_s, f"last round {silent_s:.1f} s ago"

    def readiness(self) -> tuple[bool, str]:
        """What `/readyz` says."""
        return self._ready, "ready" if self._ready else "not ready"

    def __enter__(self) -> Telemetry:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
