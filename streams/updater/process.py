"""The updater process: settings to a running lane."""

import threading

from streams.lane import Lane
from streams.settings import Settings
from streams.topics import STATE, TRANSACTIONS
from streams.updater.handler import COMPANIONS, Updater

NAME = "updater"


def run(settings: Settings, stop: threading.Event, member: str = "0") -> Updater:
    """Fold until `stop` is set. `member` tells the updaters of one deployment apart."""
    updater = Updater(settings, end_offset=lambda partition: lane.end_offset(STATE, partition))
    lane = Lane(
        settings,
        NAME,
        member,
        TRANSACTIONS,
        COMPANIONS,
        updater,
        batch_max=settings.batch_max_messages,
        linger_ms=settings.batch_linger_ms,
    )
    try:
        lane.run(stop)
    finally:
        updater.close()
    return updater
