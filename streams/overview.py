"""The whole system at a glance: what runs, how far behind it is, what it has done, how good its answers are.

Read from outside, from the run files, the metrics endpoints and Kafka's offsets, so that it is right whoever
started the processes. `twins status`, the live view and the console show it.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from streams.errors import TwinsError
from streams.positions import PositionReader, lag
from streams.processes import PROCESSES
from streams.settings import Settings
from streams.telemetry import RunningProcess, running_processes

SCRAPE_TIMEOUT_S = 2.0
EVERYWHERE = "0.0.0.0"
LOOPBACK = "127.0.0.1"
Buckets = Mapping[float, float]
"""A histogram: observations at or below each bound."""


@dataclass(frozen=True)
class Metrics:
    """The samples of one process, or the sums over several: by name, labels added up, and histograms apart."""

    totals: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, Buckets] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        return self.totals.get(name, 0.0)

    def quantile_ms(self, name: str, q: float) -> float | None:
        """A quantile of a histogram of seconds, in milliseconds; None without observations."""
        seconds = quantile(self.histograms.get(name, {}), q)
        return None if seconds is None else round(1000 * seconds, 1)


@dataclass(frozen=True)
class Part:
    """One running process."""

    name: str
    pid: int
    url: str | None
    started_at: str
    state: str
    lag: int | None


@dataclass(frozen=True)
class Overview:
    """Everything at one moment. `totals` counts since each process started; durations are milliseconds."""

    at: float
    reachable: bool
    parts: list[Part]
    lags: dict[str, int]
    totals: dict[str, float]
    latencies: dict[str, float | None]

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the console."""
        return asdict(self)


# What is shown: name -> the sample that says it.
TOTALS = {
    "lines": "twins_updater_lines_total",
    "events": "twins_updater_events_total",
    "duplicates": "twins_updater_duplicates_total",
    "dead_letters": "twins_updater_dead_letters_total",
    "profiles": "twins_updater_profiles_total",
    "twins": "twins_updater_twins",
    "lake_rows": "twins_lake_rows_total",
    "vectors": "twins_indexer_published_total",
    "queries": "twins_planner_queries_total",
    "predictions": "twins_worker_predictions_total",
    "settled": "twins_settler_settled_total",
    "open": "twins_settler_open",
}
LATENCIES = {
    "freshness": "twins_updater_freshness_seconds",
    "answer": "twins_worker_latency_seconds",
}


class Observer:
    """Looks at one deployment again and again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._positions: PositionReader | None = None

    def look(self) -> Overview:
        """The overview now. Whatever does not answer is shown as such; this never raises."""
        running = _parts(self._settings)
        scraped = [_scrape(process) for process in running]
        lags = self._lags()
        metrics = combine(found for _, found in scraped)
        latencies: dict[str, float | None] = {}
        for name, sample in LATENCIES.items():
            latencies[f"{name}_ms_p50"] = metrics.quantile_ms(sample, 0.5)
            latencies[f"{name}_ms_p99"] = metrics.quantile_ms(sample, 0.99)
        return Overview(
            at=time.time(),
            reachable=lags is not None,
            parts=[
                Part(
                    process.process,
                    process.pid,
                    _address(process),
                    process.started_at,
                    state,
                    (lags or {}).get(process.process),
                )
                for process, (state, _) in zip(running, scraped, strict=True)
            ],
            lags=lags or {},
            totals={name: metrics[sample] for name, sample in TOTALS.items()},
            latencies=latencies,
        )

    def metrics(self) -> Metrics:
        """The metrics of all running processes, added up; those that do not answer are left out."""
        return combine(_scrape(process)[1] for process in _parts(self._settings))

    def close(self) -> None:
        """Close the connections to Kafka; the next look opens them again."""
        if self._positions is not None:
            self._positions.close()
            self._positions = None

    def _lags(self) -> dict[str, int] | None:
        """By process, how many records it has not dealt with; None if Kafka does not answer."""
        try:
            self._positions = self._positions or PositionReader(self._settings)
            topics = {topic for process in PROCESSES for topic in process.reads}
            ends = self._positions.ends(topics)
            found = {}
            for process in PROCESSES:
                if process.reads:
                    committed = self._positions.committed(process.name, process.reads)
                    mine = {source: end for source, end in ends.items() if source[0] in process.reads}
                    found[process.name] = lag(mine, committed)
        except TwinsError:
            self.close()
            return None
        return found


def _parts(settings: Settings) -> list[RunningProcess]:
    """The parts to look at: those of the settings, whose pids nobody knows, or else those of this machine."""
    urls = [httpx.URL(url) for url in map(str.strip, settings.scrape_urls.split(",")) if url]
    if not urls:
        return running_processes(settings)
    return [RunningProcess(url.host, 0, url.host, url.port or 80, "") for url in urls]


def scrape(process: RunningProcess) -> Metrics:
    """The metrics of one process. Raises `httpx.HTTPError` if it does not answer."""
    answer = httpx.get(f"{_address(process)}/metrics", timeout=SCRAPE_TIMEOUT_S)
    answer.raise_for_status()
    return parse(answer.text)


def parse(text: str) -> Metrics:
    """Prometheus's text format."""
    totals: dict[str, float] = defaultdict(float)
    histograms: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.endswith("_bucket") and "le" in sample.labels:
                histograms[family.name][float(sample.labels["le"])] += sample.value
            else:
                totals[sample.name] += sample.value
    return Metrics(dict(totals), {name: dict(buckets) for name, buckets in histograms.items()})


def combine(some: Iterable[Metrics]) -> Metrics:
    """Several processes added up."""
    totals: dict[str, float] = defaultdict(float)
    histograms: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for metrics in some:
        for name, value in metrics.totals.items():
            totals[name] += value
        for name, buckets in metrics.histograms.items():
            for bound, count in buckets.items():
                histograms[name][bound] += count
    return Metrics(dict(totals), {name: dict(buckets) for name, buckets in histograms.items()})


def quantile(buckets: Buckets, q: float) -> float | None:
    """A quantile of a histogram, linear within its bucket; None without observations.

    Beyond the last finite bound there is nothing to go by: that bound is the answer.
    """
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] == 0:
        return None
    rank = q * buckets[bounds[-1]]
    lower, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if math.isinf(bound):
                return lower
            inside = buckets[bound] - below
            return bound if inside == 0 else lower + (bound - lower) * (rank - below) / inside
        lower, below = bound, buckets[bound]
    return lower


def _scrape(process: RunningProcess) -> tuple[str, Metrics]:
    """The state of a process (`ready`, `starting`, `silent`, or `running` where it has no endpoint), its metrics."""
    address = _address(process)
    if address is None:
        return "running", Metrics()
    try:
        metrics = scrape(process)
        ready = httpx.get(f"{address}/readyz", timeout=SCRAPE_TIMEOUT_S).status_code == 200
    except httpx.HTTPError:
        return "silent", Metrics()
    return ("ready" if ready else "starting"), metrics


def _address(process: RunningProcess) -> str | None:
    return process.url and process.url.replace(EVERYWHERE, LOOPBACK)
