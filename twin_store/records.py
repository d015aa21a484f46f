"""Kafka records as decoding sees them, and what is checked of every event beside its body."""

from datetime import datetime
from typing import Any, NamedTuple

from twin_store.messages.base import INSTANT_SECONDS_MAX, Message
from twin_store.messages.codec import BadMessage, decode

FUTURE_SECONDS_MAX = 86_400  # an event dated later than this after it was published has a wrong clock
KNOWN_MAJOR = "1."


class Record(NamedTuple):
    """The parts of a Kafka record that decoding needs. `timestamp` is epoch seconds, as the broker has it."""

    key: bytes | None
    value: bytes | None
    timestamp: float


def check_record(message: Any, record: Record, owner: str) -> None:
    """What pydantic's validators check and msgspec does not, and what only the record knows.

    Raises:
        BadMessage: unknown major version, an instant out of range or in the record's future, or a key that
            is not the owner's id.
    """
    if not message.version.startswith(KNOWN_MAJOR):
        raise BadMessage(f"unknown major version {message.version!r}; this reader knows 1.x", "version")
    check_instant(message.occurred_at, record.timestamp)
    if record.key != owner.encode():
        raise BadMessage("the record's key must be the id of the customer it is about", "key")


def check_instant(instant: datetime, published: float) -> None:
    """Refuse an instant outside the range of the contract or more than a day after it was published.

    Raises:
        BadMessage: one wrong clock would make every later event of its twin late.
    """
    second = instant.timestamp()
    if not 0 < second < INSTANT_SECONDS_MAX:
        raise BadMessage("instant is outside 1970-01-01 to 2100-01-01", "occurred_at")
    if second > published + FUTURE_SECONDS_MAX:
        raise BadMessage("instant is more than a day after the record was published", "occurred_at")


def explain(model: type[Message], record: Record, error: Exception) -> BadMessage:
    """The contract's own words for what is wrong: pydantic names the field and the place."""
    if isinstance(error, BadMessage):
        return error
    try:
        decode(model, record.value)
    except BadMessage as reason:
        return reason
    return BadMessage(str(error))
