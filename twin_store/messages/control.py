"""What the system says about itself: dead letters, identity transfers, segment moves, drift, adapter releases."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from twin_store.messages.base import Identifier, Instant, Message, Part, Text, Version

Decider = Literal["evidence", "vllm", "openai"]
AdapterName = Annotated[str, Field(min_length=1, max_length=400)]


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


class SegmentMove(Message):
    """A customer changed her segment. Topic `twins.segment-moves`, compacted, keyed by customer.

    `moved_at` is the end of the period after which she is in `to_segment`, by the `definitions` of that name. Who has
    no move yet is in their fallback. Raised once, in the transaction that folds the first event after that end.
    """

    event_type: ClassVar[str] = "twins.segment_move"

    customer_id: Identifier
    definitions: Identifier
    from_segment: Identifier
    to_segment: Identifier
    moved_at: Instant


class DriftReading(Message):
    """What a window measured of a segment. Topic `twins.drift-readings`, keyed by segment; a segment and window once.

    `sizes` has the population stability index of each feature as `psi.FEATURE`, and of the answers that were settled in
    the window, by option: `gap` (true share less mean probability), `excess` (Brier score less what the probabilities
    themselves expect), `brier`, `ece`, `adwin` (1: it saw a change), and `gap_z` and `excess_z`, both against the first
    windows of the same version in standard errors over customers. What had too few samples is left out. `beyond` names
    the sizes that passed their thresholds, `calm` says that all lie below what ends a trip.
    """

    event_type: ClassVar[str] = "twins.drift_reading"

    segment: Identifier
    window_start: Instant
    window_end: Instant
    visits: Annotated[int, Field(ge=0)] = 0
    options: Annotated[int, Field(ge=0)] = 0
    customers: Annotated[int, Field(ge=0)] = 0
    decider_version: str | None = None
    sizes: dict[str, float] = {}
    beyond: list[str] = []
    calm: bool = True
    gap_error: float | None = None
    excess_error: float | None = None


class DriftTrip(Message):
    """A segment whose twins or outcomes no longer fit its decider. Topic `twins.drift`, keyed by segment.

    `sizes` are those that were beyond their thresholds for two windows in a row, by name as in `DriftReading`.
    """

    event_type: ClassVar[str] = "twins.drift_trip"

    segment: Identifier
    window_start: Instant
    window_end: Instant
    measure: Literal["population_stability", "performance"]
    sizes: dict[str, float]
    samples: Annotated[int, Field(ge=0)]


class SchedulePolicy(Message):
    """How a segment is trained. Topic `twins.schedule`, compacted, keyed by segment; `all` is for what they leave open.

    A field that is None is the one of `all`, and there the default. `cron` has five fields, in UTC; `none` means never.
    `quiet` is `HH:MM-HH:MM` in UTC, or `none`. `gpu_budget_s` counts seconds of trainings of language models a day.
    """

    event_type: ClassVar[str] = "twins.schedule_policy"

    segment: Identifier
    cron: str | None = None
    paused: bool | None = None
    decider: Literal["evidence", "vllm"] | None = None
    on_drift: bool | None = None
    quiet: str | None = None
    gpu_budget_s: Annotated[float, Field(ge=0)] | None = None
    priority: Annotated[int, Field(ge=0, le=9)] | None = None
    cooldown_h: Annotated[float, Field(ge=0)] | None = None
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    attempts: Annotated[int, Field(ge=1, le=10)] | None = None
    psi_max: Annotated[float, Field(gt=0)] | None = None
    performance_z: Annotated[float, Field(gt=0)] | None = None
    changed_at: Instant


class TrainingJob(Message):
    """A training that is due, under way or over. Topic `twins.jobs`, compacted, keyed by `job_id`.

    The id follows from what raised it (a cron's moment, a drift's window, a request), so that it is raised once.
    `waiting` jobs run when the policy lets them, which `reason` says; `merged` ones came while another of the segment
    was open. `succeeded`: a version passed the gate and serves; `rejected`: the gate kept the champion; `failed`: after
    its last attempt.
    """

    event_type: ClassVar[str] = "twins.training_job"

    job_id: Annotated[str, Field(min_length=1, max_length=200)]
    segment: Identifier
    trigger: Literal["cron", "drift", "manual"]
    decider: Literal["evidence", "vllm"] = "evidence"
    status: Literal["waiting", "running", "succeeded", "rejected", "failed", "merged"]
    due_at: Instant
    until: Instant | None = None
    priority: int = 5
    attempt: Annotated[int, Field(ge=0)] = 0
    not_before: Instant | None = None
    reason: Text | None = None
    owner: str | None = None
    started_at: Instant | None = None
    heartbeat_at: Instant | None = None
    ended_at: Instant | None = None
    decider_version: str | None = None
    verdict: dict[str, float] = {}


class Audit(Message):
    """Who changed what, and why. Topic `twins.audit`, keyed by `subject`: a line of models, or a segment's schedule."""

    event_type: ClassVar[str] = "twins.audit"

    subject: Annotated[str, Field(min_length=1, max_length=400)]
    action: Identifier
    who: Annotated[str, Field(min_length=1, max_length=200)]
    why: Text
    at: Instant
    before: str | None = None
    after: str | None = None


class AdapterVersion(Part):
    """One immutable version of an adapter, and where it lies.

    `name` is what the model calls it, `location` any fsspec URL of its folder, empty where only the model has it,
    `sha256` the hash of its manifest and through that of every file, `calibration` that of its calibration.
    """

    decider: Decider
    decider_version: Identifier
    name: AdapterName | None = None
    location: str
    sha256: str
    base_model: str | None = None
    calibration: str | None = None


class Challenger(AdapterVersion):
    """A version on trial. `ab`: a share of the customers is answered by it; `shadow`: a share of the queries is put to
    it too, and what it says is kept apart."""

    mode: Literal["shadow", "ab"]
    share: Annotated[float, Field(gt=0, le=1)]


class AdapterRelease(Message):
    """What serves a segment from now on, whole. Topic `twins.adapters`, compacted, keyed by segment.

    The fields of a version that stand here are those of the champion, which answers; `previous` is what a rollback
    returns to. `number` grows by one with every release of a segment: one that is not greater than the last says
    nothing. `pinned` keeps champion and challenger in the model's memory. Version 1.1 added `number`, `name`,
    `calibration`, `previous`, `challenger` and `pinned`.
    """

    event_type: ClassVar[str] = "twins.adapter_release"
    current_version: ClassVar[str] = "1.1"

    version: Version = "1.1"
    segment: Identifier
    number: Annotated[int, Field(ge=0)] = 0
    decider: Decider
    decider_version: Identifier
    name: AdapterName | None = None
    location: str
    sha256: str
    base_model: str | None = None
    calibration: str | None = None
    previous: AdapterVersion | None = None
    challenger: Challenger | None = None
    pinned: bool = False
    released_at: Instant

    @property
    def champion(self) -> AdapterVersion:
        """The version that answers."""
        return AdapterVersion(**{name: getattr(self, name) for name in AdapterVersion.model_fields})


class AdapterState(Message):
    """What a worker did with a version of a release. Topic `twins.adapter-states`, keyed by `report_id`.

    `loaded`: its model has it and questions go to it, as `role` says; a `previous` one answers because the champion was
    refused. `refused`: `reason` says why in a word and `detail` in a sentence, and what answered before goes on.
    `retired`: its last questions are answered and it is out of the model.
    """

    event_type: ClassVar[str] = "twins.adapter_state"

    report_id: AdapterName
    worker: Identifier
    segment: Identifier
    number: Annotated[int, Field(ge=0)]
    decider_version: Identifier
    role: Literal["champion", "previous", "challenger"] | None = None
    status: Literal["loaded", "refused", "retired"]
    reason: str | None = None
    detail: Text | None = None
    reported_at: Instant
