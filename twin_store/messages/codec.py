"""Bytes to messages and back, and the three conversions everything shares: money, quantity, time."""

import uuid
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TypeVar

from pydantic import ValidationError

from twin_store.messages.base import Message, format_instant

SECONDS_PER_DAY = 86_400
PLACE_STEP_MAX = 64
FIRST_MONDAY = 4  # 1970-01-05, in days since 1970-01-01
# ISO 4217 currencies whose minor unit is not a hundredth.
MINOR_DIGITS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0,
    "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}  # fmt: skip


class BadMessage(ValueError):  # noqa: N818 - it is the message that is wrong
    """A message that does not fit its contract: `place` names the field, `reason` what is wrong with it."""

    def __init__(self, reason: str, place: str | None = None) -> None:
        super().__init__(f"{place}: {reason}" if place else reason)
        self.reason = reason
        self.place = place


M = TypeVar("M", bound=Message)


def decode(model: type[M], payload: bytes | None) -> M:
    """One message from its JSON bytes. A value of the wrong JSON type is an error, never converted.

    Raises:
        BadMessage: naming the first field that is wrong.
    """
    if payload is None:
        raise BadMessage("empty message where a body is needed")
    try:
        return model.model_validate_json(payload, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadMessage(first["msg"].removeprefix("Value error, "), place_of(first["loc"])) from None


def place_of(location: tuple[int | str, ...]) -> str | None:
    """`("lines", 3, "quantity")` as `lines[3].quantity`; a step may be the sender's text, so it is cut."""
    place = ""
    for step in location:
        place += f"[{step}]" if isinstance(step, int) else f".{step[:PLACE_STEP_MAX]}"
    return place.lstrip(".") or None


def headers_for(message: Message, source: str, occurred_at: datetime) -> list[tuple[str, str | bytes | None]]:
    """CloudEvents attributes for Kafka's binary content mode."""
    return [("ce_id", uuid.uuid4().hex.encode()), *shared_headers(type(message), source, occurred_at)]


def shared_headers(
    model: type[Message], source: str, occurred_at: datetime
) -> list[tuple[str, str | bytes | None]]:
    """The CloudEvents attributes that messages of one kind and moment share; each adds its `ce_id`."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_source", source.encode()),
        ("ce_type", model.cloud_event_type().encode()),
        ("ce_time", format_instant(occurred_at).encode()),
        ("content-type", b"application/json"),
    ]


def minor_digits(currency: str) -> int:
    """Digits after the point of an ISO 4217 currency."""
    return MINOR_DIGITS.get(currency, 2)


def to_minor(money: str, digits: int = 2) -> int:
    """`"12.34"` to 1234, half to even."""
    return int(Decimal(money).scaleb(digits).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def to_money(minor: int, digits: int = 2) -> str:
    """1234 to `"12.34"`."""
    whole, part = divmod(abs(minor), 10**digits)
    sign = "-" if minor < 0 else ""
    return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"


def to_thousandths(quantity: float) -> int:
    """A quantity as it is kept inside: whole thousandths."""
    return round(quantity * 1000)


def epoch_seconds(instant: datetime) -> int:
    """Whole seconds since 1970, rounded down."""
    return int(instant.timestamp() // 1)


def instant_of(seconds: int) -> datetime:
    """The UTC instant of epoch seconds."""
    return datetime.fromtimestamp(int(seconds), UTC)


def week_of_day(day: int) -> int:
    """Weeks since Monday 1970-01-05 of a day since 1970-01-01."""
    return (day - FIRST_MONDAY) // 7
