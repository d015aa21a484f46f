"""What the updater says of its work: once a batch, never once a record."""

from __future__ import annotations

import time

from prometheus_client import Counter

from streams.telemetry import Telemetry
from streams.updater.handler import Updater

HOT_EVERY_S = 5.0  # adding up the bytes of all twins in memory takes a moment


class UpdaterMetrics:
    """Turns the handler's running totals into metrics."""

    def __init__(self, telemetry: Telemetry, updater: Updater) -> None:
        self._updater = updater
        self._counters: dict[str, Counter] = {
            name: telemetry.counter(name, help)
            for name, help in (
                ("lines", "Lines of the receipts that counted"),
                ("events", "Receipts, returns, voids and clicks that counted"),
                ("duplicates", "Events that had counted already"),
                ("late", "Events set aside as too late"),
                ("dead_letters", "Records that could not be used"),
                ("profiles", "Profiles published"),
            )
        }
        self._counted = dict.fromkeys(self._counters, 0)
        self._ticks = telemetry.counter(
            "tick_cpu_seconds", "Processor time that went into publishing statistics of products"
        )
        self._ticked = 0.0
        self._records = telemetry.counter("records", "Records taken from Kafka")
        self._seconds = telemetry.histogram("batch_seconds", "Duration of a batch, to its commit")
        self._freshness = telemetry.histogram(
            "freshness_seconds", "From the arrival of a batch's first event at the broker to its commit"
        )
        self._lag = telemetry.gauge("lag", "Records not folded yet")
        self._twins = telemetry.gauge("twins", "Twins of the partitions held")
        self._hot = telemetry.gauge("hot_twins", "Twins decoded in memory")
        self._hot_bytes = telemetry.gauge("hot_twins_bytes", "Bytes of the twins decoded in memory")
        self._hot_at = 0.0

    def batch(self, records: int, seconds: float) -> None:
        """A batch of so many records was committed after so many seconds."""
        self._records.inc(records)
        self._seconds.observe(seconds)
        if self._updater.oldest_ms:
            # Two clocks may differ by a little.
            self._freshness.observe(max(0.0, time.time() - self._updater.oldest_ms / 1000))
        self._ticks.inc(self._updater.tick_cpu_s - self._ticked)
        self._ticked = self._updater.tick_cpu_s
        for name, counter in self._counters.items():
            total = self._updater.totals[name]
            counter.inc(total - self._counted[name])
            self._counted[name] = total

    def round(self, lag: int) -> None:
        """The loop went round, busy or not, and so many records are behind it."""
        self._lag.set(lag)
        now = time.monotonic()
        if now - self._hot_at > HOT_EVERY_S:
            twins, size = self._updater.hot()
            self._twins.set(self._updater.twins())
            self._hot.set(twins)
            self._hot_bytes.set(size)
            self._hot_at = now
