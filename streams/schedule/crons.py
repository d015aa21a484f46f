"""Times by cron expressions of five fields, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from streams.errors import UsageError

FIRES_MAX = 100_000


def trigger(expression: str) -> Any:
    """APScheduler's trigger of an expression. Raises `UsageError` if it is none, or never fires."""
    from apscheduler.triggers.cron import CronTrigger

    try:
        found = CronTrigger.from_crontab(expression, timezone=UTC)
    except ValueError as error:
        raise UsageError(
            f"--cron {expression!r}: {error}; five fields as in `30 3 * * mon`, in UTC, or none"
        ) from None
    if found.get_next_fire_time(None, datetime.now(UTC)) is None:
        raise UsageError(f"--cron {expression!r} never fires: there is no such day")
    return found


def next_fire(expression: str, after: datetime) -> datetime | None:
    """The first moment after `after`."""
    found: datetime | None = trigger(expression).get_next_fire_time(None, after + timedelta(seconds=1))
    return found


def last_fire(expression: str, until: datetime, within: timedelta) -> datetime | None:
    """The last moment up to `until`, if it is no longer than `within` ago."""
    clock = trigger(expression)
    found: datetime | None = None
    at = clock.get_next_fire_time(None, until - within)
    for _ in range(FIRES_MAX):
        if at is None or at > until:
            break
        found = at
        at = clock.get_next_fire_time(at, at + timedelta(seconds=1))
    return found
