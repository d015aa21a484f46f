"""What the worker counts."""

from typing import Any

from streams.telemetry import Telemetry


class WorkerMetrics:
    """Counters and histograms of one worker."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._predictions = telemetry.counter("predictions", "Predictions published", ["kind", "status"])
        self._latency = telemetry.histogram("latency_seconds", "From raising a query to its answer")
        self.repeated = telemetry.counter("repeated", "Queries that came again and were answered before")
        self.dead = telemetry.counter("dead_letters", "Queries that could not be used")
        self.batch = telemetry.histogram("batch_seconds", "Handling and committing a batch")

    def answered(self, prediction: Any) -> None:
        """Count a prediction that was committed."""
        self._predictions.labels(prediction.kind, prediction.status).inc()
        self._latency.observe(prediction.latency_ms / 1000)
