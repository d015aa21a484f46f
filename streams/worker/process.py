"""The worker process: settings to a running lane."""

import threading

from streams.lane import Lane
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topics import QUERIES, STATE
from streams.worker.handler import Worker
from streams.worker.metrics import WorkerMetrics
from streams.worker.models import Models

NAME = "worker"
BATCHES_AT_ONCE = 8  # queries taken in one transaction, in batches of the decider


def run(
    settings: Settings, stop: threading.Event, member: str = "0", telemetry: Telemetry | None = None
) -> None:
    """Answer until `stop` is set. `member` tells the workers of one deployment apart.

    Raises:
        TwinsError: the topics cannot be read, or another process has this member's name.
    """
    telemetry = telemetry or Telemetry(NAME, settings)
    metrics = WorkerMetrics(telemetry)
    models = Models(settings)
    worker = Worker(settings, f"{NAME}-{member}", models, metrics)

    def alive() -> None:
        telemetry.beat()
        telemetry.ready(bool(lane.partitions))

    lane = Lane(
        settings,
        NAME,
        member,
        QUERIES,
        (),
        worker,
        batch_max=settings.worker_batch_max * BATCHES_AT_ONCE,
        linger_ms=settings.worker_linger_ms,
        on_batch=lambda _count, seconds: metrics.batch.observe(seconds),
        on_round=alive,
        followed={STATE: worker.follow_from},
    )
    try:
        lane.run(stop)
    finally:
        telemetry.ready(False)
        models.close()
