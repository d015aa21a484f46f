"""What the settler counts."""

from collections import defaultdict

from streams.telemetry import StagedCounts, Telemetry
from twin_store.outcomes import Settled, Unsettled


class SettlerMetrics:
    """Counters and gauges of one settler; `score` is the mean Brier score by kind since the start."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.batch_counts = StagedCounts()
        self.taken = telemetry.counter("predictions", "Predictions read", ["status"])
        self.forgotten = telemetry.counter("forgotten", "Open answers dropped: their customer was erased")
        self.dead = telemetry.counter("dead_letters", "Predictions that could not be used")
        self.open = telemetry.gauge("open", "Answers not settled yet")
        self.lag = telemetry.gauge("lag", "Predictions not read yet")
        self.batch = telemetry.histogram("batch_seconds", "Handling and committing a batch")
        self._settled = telemetry.counter("settled", "Answers settled", ["kind", "by"])
        self._void = telemetry.counter("void", "Of those the ones that settle nothing", ["kind"])
        self._brier = telemetry.gauge("brier", "Mean Brier score of the answers settled", ["kind"])
        self._scores: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))

    def settled(self, answer: Unsettled, settled: Settled, score: float | None) -> None:
        """Count an outcome that was committed."""
        self._settled.labels(answer.kind, settled.by).inc()
        if score is None:
            self._void.labels(answer.kind).inc()
            return
        count, total = self._scores[answer.kind]
        self._scores[answer.kind] = (count + 1, total + score)
        self._brier.labels(answer.kind).set((total + score) / (count + 1))
