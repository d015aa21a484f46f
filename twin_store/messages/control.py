"""What the system says about itself: dead letters, identity transfers, drift, adapter releases."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from twin_store.messages.base import Identifier, Instant, Message


class DeadLetter(Message):
    """A message that could not be used, whole. Topics `twins.dead-letters` and `twins.late`, keyed as the original.

    `payload` and `key` are base64 of the original bytes; `place` points into the message (for example
    `lines[3].quantity`). Replaying one publishes the original bytes to the original topic again.
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


class Transfer(Message):
    """A twin, or a claim on one, on its way to another id. Topic `twins.transfers`, keyed by `to_id`.

    `claim` asks the partition of an anonymous id (`to_id`) to hand its twin to `from_id` and to forward what
    comes later; `partial` carries that partial twin (base64 of its binary form).
    """

    event_type: ClassVar[str] = "twins.transfer"

    kind: Literal["claim", "partial"]
    from_id: Identifier
    to_id: Identifier
    occurred_at: Instant
    partial: str | None = None


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
