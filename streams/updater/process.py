"""The updater process: settings to a running lane."""

import threading
from functools import partial

from streams.lane import Lane
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topics import STATE, TRANSACTIONS
from streams.updater.handler import COMPANIONS, Updater
from streams.updater.metrics import UpdaterMetrics
from streams.updater.names import LiveNames
from streams.updater.partition import PartitionState

NAME = "updater"


def run(
    settings: Settings, stop: threading.Event, member: str = "0", telemetry: Telemetry | None = None
) -> Updater:
    """Fold until `stop` is set. `member` tells the updaters of one deployment apart."""
    telemetry = telemetry or Telemetry(NAME, settings)
    names = LiveNames(settings)
    updater = Updater(
        settings,
        end_offset=lambda partition: lane.end_offset(STATE, partition),
        names=names.current,
        open_partition=partial(PartitionState.open, settings),
    )
    metrics = UpdaterMetrics(telemetry, updater)

    def alive() -> None:
        names.refresh()
        metrics.round(lane.lag())
        telemetry.beat()
        telemetry.ready(bool(lane.partitions))

    lane = Lane(
        settings,
        NAME,
        member,
        TRANSACTIONS,
        COMPANIONS,
        updater,
        batch_max=settings.batch_max_messages,
        linger_ms=settings.batch_linger_ms,
        on_batch=metrics.batch,
        on_round=alive,
        turn=settings.batch_turn_messages,
    )
    try:
        lane.run(stop)
    finally:
        telemetry.ready(False)
        names.close()
    return updater
