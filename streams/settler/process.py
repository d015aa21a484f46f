"""The settler process: settings to a running lane."""

import threading

from streams.lane import Lane
from streams.settings import Settings
from streams.settler.handler import Settler
from streams.settler.metrics import SettlerMetrics
from streams.telemetry import Telemetry
from streams.topics import PREDICTIONS, STATE

NAME = "settler"
BATCH_MAX = 2_000
LINGER_MS = 20


def run(
    settings: Settings, stop: threading.Event, member: str = "0", telemetry: Telemetry | None = None
) -> None:
    """Settle until `stop` is set. `member` tells the settlers of one deployment apart.

    Raises:
        TwinsError: the changelogs cannot be read, or another process has this member's name.
    """
    telemetry = telemetry or Telemetry(NAME, settings)
    metrics = SettlerMetrics(telemetry)
    settler = Settler(
        settings,
        f"{NAME}-{member}",
        heard_end=lambda partition: lane.heard_end(STATE, partition),
        metrics=metrics,
    )

    def alive() -> None:
        telemetry.beat()
        telemetry.ready(bool(lane.partitions))
        metrics.lag.set(lane.lag())

    lane = Lane(
        settings,
        NAME,
        member,
        PREDICTIONS,
        (),
        settler,
        batch_max=BATCH_MAX,
        linger_ms=LINGER_MS,
        on_batch=lambda _, seconds: metrics.batch.observe(seconds),
        on_round=alive,
        followed={STATE: settler.follow_from},
    )
    try:
        lane.run(stop)
    finally:
        telemetry.ready(False)
