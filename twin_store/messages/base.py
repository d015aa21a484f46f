"""The base of every message and the field types they share.

Wire conventions: money is a decimal string in major units, instants are RFC 3339 with an offset (UTC is
written), quantities are JSON numbers. `version` is `major.minor`: a reader ignores unknown fields of its own
major version and refuses any other major version.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
)

# Digits are spelled out because \d also matches those of other scripts.
MONEY_PATTERN = r"^-?[0-9]{1,7}(\.[0-9]{1,4})?$"
# What adds up over a life, or over all customers, goes beyond what one line may cost: up to 64 bits.
SUM_PATTERN = r"^-?[0-9]{1,17}(\.[0-9]{1,4})?$"
VERSION_PATTERN = r"^[0-9]+\.[0-9]+$"
INSTANT_PATTERN = re.compile(
    "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
INSTANT_SECONDS_MAX = 4_102_444_800  # 2100-01-01T00:00:00Z; a clock beyond it is wrong, not early
QUANTITY_MAX = 1_000_000
LINES_MAX = 5_000


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC with a trailing Z, microseconds only where there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_instant(value: object) -> datetime:
    """RFC 3339 and nothing else: pydantic alone also takes 1700000000 and `"1700000000"`."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and INSTANT_PATTERN.fullmatch(value):
        return datetime.fromisoformat(value.upper())
    raise ValueError("instant is not RFC 3339 with an offset, such as 2024-05-01T09:30:00Z")


def _check_range(instant: datetime) -> datetime:
    """One absurd clock must not carry a twin's `as_of` into another century."""
    if not 0 < instant.timestamp() < INSTANT_SECONDS_MAX:
        raise ValueError("instant is outside 1970-01-01 to 2100-01-01")
    return instant


Identifier = Annotated[str, Field(min_length=1, max_length=128)]
Text = Annotated[str, Field(max_length=4_000)]
MoneySum = Annotated[
    str, Field(max_length=23, pattern=SUM_PATTERN, description="decimal string, major units; a sum or a mean")
]
Money = Annotated[str, Field(max_length=14, pattern=MONEY_PATTERN, description="decimal string, major units")]
Quantity = Annotated[float, Field(ge=0, le=QUANTITY_MAX, allow_inf_nan=False, strict=True)]
Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_parse_instant),
    AfterValidator(_check_range),
    PlainSerializer(format_instant, return_type=str, when_used="json"),
]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Version = Annotated[str, Field(pattern=VERSION_PATTERN, max_length=16)]


class Message(BaseModel):
    """A frozen, versioned message. `event_type` is the CloudEvents type without its version suffix.

    A type that was given fields since its first version says so in `current_version` and as default of `version`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")
    event_type: ClassVar[str]
    current_version: ClassVar[str] = "1.0"

    version: Version = "1.0"

    @field_validator("version")
    @classmethod
    def _known_major(cls, value: str) -> str:
        known = cls.current_version.split(".")[0]
        if value.split(".")[0] != known:
            raise ValueError(f"unknown major version {value!r}; this reader knows {known}.x")
        return value

    @classmethod
    def cloud_event_type(cls) -> str:
        """CloudEvents `type`, for example `retail.transaction.v1`."""
        return f"{cls.event_type}.v{cls.current_version.split('.')[0]}"

    def to_wire(self) -> bytes:
        """UTF-8 JSON; fields that are None are left out."""
        return self.model_dump_json(exclude_none=True).encode()


class Part(BaseModel):
    """A nested part of a message."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")
