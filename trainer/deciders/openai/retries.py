"""When to ask again. Pure: chance and time are given."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random


@dataclass(frozen=True)
class RetrySettings:
    """How often, and how long between. The n-th wait is drawn from 0 to `first_s` doubled n times, `longest_s` at most:
    the whole range, so that many who failed together do not come back together.
    """

    retries_max: int = 3
    first_s: float = 0.1
    longest_s: float = 5.0


def wait_s(settings: RetrySettings, attempt: int, asked_for_s: float | None, chance: Random) -> float:
    """Seconds to wait after failed attempt `attempt`, counted from 0; at least as long as the server asked for."""
    drawn = chance.uniform(0, min(settings.longest_s, settings.first_s * 2.0 ** min(attempt, 60)))
    return drawn + (asked_for_s or 0.0)


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """What a `Retry-After` asks for, in seconds, as a number or a date; None if there is none that can be read."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
