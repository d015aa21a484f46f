"""The worker process: settings to a running lane."""

import contextlib
import threading

from streams.lane import Lane
from streams.live_products import LiveProducts
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topics import QUERIES, STATE
from streams.worker.handler import Worker
from streams.worker.metrics import WorkerMetrics
from streams.worker.models import CurrentModel

NAME = "worker"


def run(
    settings: Settings, stop: threading.Event, member: str = "0", telemetry: Telemetry | None = None
) -> None:
    """Answer until `stop` is set. `member` tells the workers of one deployment apart.

    Raises:
        TwinsError: the topics cannot be read, or another process has this member's name.
    """
    telemetry = telemetry or Telemetry(NAME, settings)
    metrics = WorkerMetrics(telemetry)
    with (
        contextlib.closing(LiveProducts(settings)) as products,
        contextlib.closing(CurrentModel(settings, products.products)) as model,
    ):
        worker = Worker(settings, f"{NAME}-{member}", products, model, metrics)

        def alive() -> None:
            telemetry.beat()
            telemetry.ready(bool(lane.partitions))
            metrics.lag.set(lane.lag())

        lane = Lane(
            settings,
            NAME,
            member,
            QUERIES,
            (),
            worker,
            batch_max=settings.worker_batch_max,
            linger_ms=settings.worker_linger_ms,
            on_batch=metrics.batch,
            on_round=alive,
            followed={STATE: worker.follow_from},
        )
        try:
            lane.run(stop)
        finally:
            telemetry.ready(False)
