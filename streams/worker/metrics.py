"""What the worker counts."""

from typing import Any

from streams.telemetry import StagedCounts, Telemetry

BATCH_SIZES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500)


class WorkerMetrics:
    """Counters and histograms of one worker."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.batch_counts = StagedCounts()
        self._predictions = telemetry.counter("predictions", "Predictions published", ["kind", "status"])
        self._degraded = telemetry.counter("degraded", "Of those the ones that lacked something")
        self._latency = telemetry.histogram("latency_seconds", "From raising a query to its answer")
        self.repeated = telemetry.counter("repeated", "Queries that came again and were answered before")
        self.dead = telemetry.counter("dead_letters", "Queries that could not be used")
        self.failed = telemetry.counter("failed", "Questions at which the decider failed")
        self.held = telemetry.gauge("held", "Queries that wait for their twin")
        self.lag = telemetry.gauge("lag", "Queries not answered yet")
        self._batch = telemetry.histogram("batch_seconds", "Handling and committing a batch")
        self._sizes = telemetry.histogram("batch_queries", "Queries answered in a batch", buckets=BATCH_SIZES)

    def batch(self, _records: int, seconds: float) -> None:
        """A batch was committed."""
        self._batch.observe(seconds)

    def published(self, predictions: list[Any]) -> None:
        """Count the predictions of a batch that was committed."""
        if predictions:
            self._sizes.observe(len(predictions))
        for prediction in predictions:
            self._predictions.labels(prediction.kind, prediction.status).inc()
            self._latency.observe(max(0.0, prediction.latency_ms / 1000))
            if prediction.degraded_reason is not None:
                self._degraded.inc()
