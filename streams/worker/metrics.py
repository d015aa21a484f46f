"""What the worker counts."""

from collections import deque
from typing import Any

from streams.telemetry import StagedCounts, Telemetry

BATCH_SIZES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500)
SHARE_OF = 1_000


class WorkerMetrics:
    """Counters and histograms of one worker."""

    def __init__(self, telemetry: Telemetry, language_decider: str | None = None) -> None:
        """`language_decider` is the name of the language model's decider, if there is one."""
        self._language_decider = language_decider
        self.batch_counts = StagedCounts()
        self._predictions = telemetry.counter("predictions", "Predictions published", ["kind", "status"])
        self._degraded = telemetry.counter("degraded", "Of those the ones that lacked something")
        self._latency = telemetry.histogram("latency_seconds", "From raising a query to its answer")
        self.repeated = telemetry.counter("repeated", "Queries that came again and were answered before")
        self.dead = telemetry.counter("dead_letters", "Queries that could not be used")
        self.failed = telemetry.counter("failed", "Questions at which the decider failed")
        self.held = telemetry.gauge("held", "Queries that wait for their twin")
        self.queued = telemetry.gauge("queued", "Queries that wait for room at the language model")
        self.model_up = telemetry.gauge(
            "model_up", "Whether the language model answers: 1, or 0 while it is away"
        )
        self.in_flight = telemetry.gauge("in_flight", "Prompts at the language model")
        self.asked = telemetry.counter("asked", "Prompts put to the language model", ["segment", "adapter"])
        self.lacks = telemetry.counter(
            "degraded_by", "Queries that the language model did not answer, by why", ["reason"]
        )
        self.shadows = telemetry.counter(
            "shadows", "Queries for a version on trial, by what became of them", ["result"]
        )
        self.malformed = telemetry.counter("malformed", "Answers that were not in the form asked for")
        self._by_numbers = telemetry.gauge(
            "degraded_share", f"Of the last {SHARE_OF:,} answers, those that the language model did not give"
        )
        self._last: deque[bool] = deque(maxlen=SHARE_OF)
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
        if self._language_decider is not None:
            answers = [prediction for prediction in predictions if prediction.status == "answered"]
            self._last.extend(prediction.decider != self._language_decider for prediction in answers)
            self._by_numbers.set(sum(self._last) / max(1, len(self._last)))
