"""What the system says about itself: dead letters, identity transfers, drift, adapter releases."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from twin_store.messages.base import Identifier, Instant, Message, Part


class OriginHeader(Part):
    """A Kafka header of the original record; `value` is base64, absent where it was null."""

    name: str
    value: str | None = None


class DeadLetter(Message):
    """A message that could not be used, whole. Topics `twins.dead-letters` and `twins.late`.

    Keyed as the original. `payload` and `key` are base64 of the original bytes, absent where they were null;
    `place` points into the message (for example `lines[3].quantity`). A payload too large to carry is left
    out: `omitted_bytes` is its size, and it stays at its origin until retention. Replaying a letter publishes
    the original bytes to the original topic again and appends a letter with `replayed_at` and no payload,
    which closes the one of the same origin.
    """

    event_type: ClassVar[str] = "twins.dead_letter"

    origin_topic: str
    origin_partition: int
    origin_offset: int
    failed_at: Instant
    stage: str
    reason: str
    place: str | None = None
    key: str | None = None
    payload: str | None = None
    headers: list[OriginHeader] = []
    omitted_bytes: int | None = None
    replayed_at: Instant | None = None


class Transfer(Message):
    """A twin, or a claim on one, on its way to another id. Topic `twins.transfers`, keyed by `to_id`.

    `claim` asks the partition of an anonymous id (`to_id`) to hand its twin to `from_id` and to forward what
    comes later; `partial` carries that partial twin (base64 of its binary form). `withdrawal` carries what was handed
    over and belongs to `from_id` again, since the link is forgotten.
    """

    event_type: ClassVar[str] = "twins.transfer"

    kind: Literal["claim", "partial", "withdrawal"]
    from_id: Identifier
    to_id: Identifier
    occurred_at: Instant
    partial: str | None = None
    symbols: dict[int, str] = {}


class DriftTrip(Message):
    """A segment whose twins or outcomes no longer fit its decider. Topic `twins.drift`, keyed by segment."""

    event_type: ClassVar[str] = "twins.drift_trip"

    segment: Identifier
    window_start: Instant
    window_end: Instant
    measure: Literal["population_stability", "performance"]
    sizes: dict[str, float]
    samples: Annotated[int, Field(ge=0)]


class AdapterRelease(Message):
    """The decider version that serves a segment. Topic `twins.adapters`, compacted, keyed by segment."""

    event_type: ClassVar[str] = "twins.adapter_release"

    segment: Identifier
    decider: Literal["evidence", "vllm", "openai"]
    decider_version: str
    location: str
    sha256: str
    base_model: str | None = None
    released_at: Instant
