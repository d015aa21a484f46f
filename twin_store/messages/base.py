"""The base of every message and the field types they share.

Wire conventions: money is a decimal string in major units, instants are RFC 3339 with an offset (UTC is
written), quantities are JSON numbers. `version` is `major.minor`: a reader ignores unknown fields of its own
major version and refuses any other major version.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, field_validator

MONEY_PATTERN = r"^-?\d{1,7}(\.\d{1,4})?$"
QUANTITY_MAX = 1_000_000
LINES_MAX = 5_000


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC with a trailing Z, microseconds only where there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


Identifier = Annotated[str, Field(min_length=1, max_length=128)]
Text = Annotated[str, Field(max_length=4_000)]
Money = Annotated[str, Field(max_length=14, pattern=MONEY_PATTERN, description="decimal string, major units")]
Quantity = Annotated[float, Field(ge=0, le=QUANTITY_MAX, allow_inf_nan=False, strict=True)]
Instant = Annotated[AwareDatetime, PlainSerializer(format_instant, return_type=str, when_used="json")]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Message(BaseModel):
    """A frozen, versioned message. `event_type` is the CloudEvents type without its version suffix."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")
    event_type: ClassVar[str]
    current_version: ClassVar[str] = "1.0"

    version: Annotated[str, Field(pattern=r"^\d+\.\d+$", max_length=16)] = "1.0"

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


JsonObject = dict[str, Any]
