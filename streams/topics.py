"""Every topic of the system, in one table. Topic names are written nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from twin_store.messages import (
    AdapterRelease,
    AdapterState,
    Ask,
    Audit,
    CatalogItem,
    Click,
    Customer,
    DeadLetter,
    DriftReading,
    DriftTrip,
    Erasure,
    Message,
    Outcome,
    Prediction,
    ProductStatistics,
    ProductVector,
    Profile,
    Promotion,
    Query,
    Request,
    SchedulePolicy,
    SegmentMove,
    TrainingJob,
    Transaction,
    Transfer,
)

DAY_MS = 86_400_000
MIB = 1_048_576
MESSAGE_MAX_BYTES = 8 * MIB
# A letter carries the original in base64, a third longer, and must fit where the original did.
LETTER_MAX_BYTES = 12 * MIB
Cleanup = Literal["delete", "compact", "compact,delete"]


@dataclass(frozen=True)
class Topic:
    """One topic. `message` is None where the body is this system's own binary form, never read by others.

    `partitions` None means the deployment's partition count: all such topics are co-partitioned, so that
    partition p of each holds the same customers. `retention_ms` counts from arrival and is for `delete`
    topics. `config` holds Kafka topic settings beyond those that `streams.topic_admin` derives.
    """

    name: str
    key: str
    message: type[Message] | None
    owner: str
    readers: tuple[str, ...]
    cleanup: Cleanup = "delete"
    retention_ms: int = 30 * DAY_MS
    partitions: int | None = None
    description: str = ""
    max_message_bytes: int = MESSAGE_MAX_BYTES
    config: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def key_fields(self) -> tuple[str, ...]:
        """The message's fields that the key is taken from, the first one that is set; empty if it is none."""
        if self.message is None:
            return ()
        return tuple(name for name in self.key.split(" or ") if name in self.message.model_fields)


TRANSACTIONS = Topic(
    "retail.transactions",
    "customer_id",
    Transaction,
    "retailer",
    ("updater", "lake"),
    retention_ms=90 * DAY_MS,
    description="Receipts, returns and voids.",
)
CLICKSTREAM = Topic(
    "retail.clickstream",
    "customer_id or anonymous_id",
    Click,
    "retailer",
    ("updater", "planner", "lake"),
    description="Steps of web and app sessions.",
)
CATALOG = Topic(
    "retail.catalog",
    "sku",
    CatalogItem,
    "retailer",
    ("updater", "indexer", "planner", "worker", "lake"),
    cleanup="compact",
    description="Products as they stand now; a null value deletes one.",
)
PROMOTIONS = Topic(
    "retail.promotions",
    "promotion_id",
    Promotion,
    "retailer",
    ("planner", "lake"),
    retention_ms=400 * DAY_MS,
    description="Displays, mailers, price cuts, coupons, campaigns.",
)
CUSTOMERS = Topic(
    "retail.customers",
    "customer_id",
    Customer,
    "retailer",
    ("updater", "lake"),
    cleanup="compact",
    description="Demographics, consent and identity links.",
)
PROFILES = Topic(
    "twins.profiles",
    "customer_id",
    Profile,
    "updater",
    ("CRM", "planner", "analytics"),
    cleanup="compact",
    description="Each twin's Shopping-DNA as of its last event.",
)
STATE = Topic(
    "twins.state",
    "customer_id and slot",
    None,
    "updater",
    ("updater", "worker", "settler"),
    cleanup="compact",
    description="The twins' changelog: deltas and, now and then, whole twins, in binary.",
    # Rewritten all the time and read whole by every restore: small segments, compacted early. But not so early
    # that one who follows ten minutes behind would miss a delta that was written over since.
    config={
        "min.cleanable.dirty.ratio": "0.2",
        "segment.bytes": str(64 * MIB),
        "min.compaction.lag.ms": "600000",
    },
)
TRANSFERS = Topic(
    "twins.transfers",
    "to_id",
    Transfer,
    "updater",
    ("updater",),
    description="Anonymous twins on their way to the customer who signed in.",
)
PRODUCT_DELTAS = Topic(
    "twins.product-deltas",
    "partition",
    None,
    "updater",
    ("updater",),
    description="What a batch added to the products' statistics, summed, in binary.",
)
PRODUCTS = Topic(
    "twins.products",
    "sku",
    ProductStatistics,
    "updater",
    ("updater", "indexer", "planner", "worker"),
    cleanup="compact",
    description="Price level, popularity, deal share and stores of each product.",
)
VECTORS = Topic(
    "twins.vectors",
    "sku",
    ProductVector,
    "indexer",
    ("planner",),
    cleanup="compact",
    description="Product embeddings, from which any process can build its index.",
)
REQUESTS = Topic(
    "twins.requests",
    "request_id",
    Request,
    "CRM",
    ("planner",),
    description="Questions the CRM asks, about one customer or an audience.",
)
ASKS = Topic(
    "twins.asks",
    "customer_id",
    Ask,
    "planner",
    ("planner",),
    retention_ms=7 * DAY_MS,
    description="Requests dealt out, one message a customer.",
)
PLANNER_STATE = Topic(
    "twins.planner-state",
    "customer_id",
    None,
    "planner",
    ("planner",),
    cleanup="compact",
    description="What the planner remembers of each customer, in binary; a Faust changelog.",
    # A value a customer a batch: compacted early, because a restart reads it whole.
    config={"min.cleanable.dirty.ratio": "0.2", "segment.bytes": str(64 * MIB)},
)
QUERIES = Topic(
    "twins.queries",
    "customer_id",
    Query,
    "planner",
    ("worker",),
    description="Decision queries, each about one customer, products attached.",
)
PREDICTIONS = Topic(
    "twins.predictions",
    "customer_id",
    Prediction,
    "worker",
    ("CRM", "settler", "lake"),
    retention_ms=90 * DAY_MS,
    description="Answers, exactly one a query.",
)
WORKER_STATE = Topic(
    "twins.worker-state",
    "block",
    None,
    "worker",
    ("worker",),
    cleanup="compact",
    description="The ids of the queries answered last, in binary; the worker's changelog.",
    config={"min.cleanable.dirty.ratio": "0.2", "segment.bytes": str(8 * MIB)},
)
OUTCOMES = Topic(
    "twins.outcomes",
    "customer_id",
    Outcome,
    "settler",
    ("lake", "console", "analytics"),
    retention_ms=90 * DAY_MS,
    description="What happened after each answer.",
)
SETTLER_STATE = Topic(
    "twins.settler-state",
    "query_id",
    None,
    "settler",
    ("settler",),
    cleanup="compact",
    description="Answers that are not settled yet, in binary; the settler's changelog.",
    config={"min.cleanable.dirty.ratio": "0.2", "segment.bytes": str(16 * MIB)},
)
ERASURE = Topic(
    "twins.erasure",
    "customer_id",
    Erasure,
    "CRM",
    ("updater", "lake"),
    cleanup="compact",
    description="Customers to forget.",
)
LATE = Topic(
    "twins.late",
    "as the original",
    DeadLetter,
    "updater",
    ("ops",),
    retention_ms=90 * DAY_MS,
    description="Events older than the receipt horizon, for backfill.",
    max_message_bytes=LETTER_MAX_BYTES,
)
DEAD_LETTERS = Topic(
    "twins.dead-letters",
    "as the original",
    DeadLetter,
    "every process",
    ("ops",),
    retention_ms=90 * DAY_MS,
    description="Messages that could not be used, with origin, place and reason.",
    max_message_bytes=LETTER_MAX_BYTES,
)
SEGMENT_MOVES = Topic(
    "twins.segment-moves",
    "customer_id",
    SegmentMove,
    "updater",
    ("drift", "CRM", "analytics"),
    cleanup="compact",
    description="Customers who changed their segment; the last move of each says where she is.",
)
DRIFT_STATE = Topic(
    "twins.drift-state",
    "customer_id, or the partition",
    None,
    "drift",
    ("drift",),
    cleanup="compact",
    description="The drift monitor's open windows and what it last saw of each customer, in binary; a Faust changelog.",
    config={"min.cleanable.dirty.ratio": "0.2", "segment.bytes": str(16 * MIB)},
)
DRIFT_READINGS = Topic(
    "twins.drift-readings",
    "segment",
    DriftReading,
    "drift",
    ("drift", "ops"),
    retention_ms=400 * DAY_MS,
    partitions=1,
    description="What each window measured of each segment.",
)
DRIFT = Topic(
    "twins.drift",
    "segment",
    DriftTrip,
    "drift",
    ("scheduler", "ops"),
    partitions=1,
    description="Segments whose decider no longer fits, with the features and sizes that say so.",
)
SCHEDULE = Topic(
    "twins.schedule",
    "segment",
    SchedulePolicy,
    "ops",
    ("scheduler", "drift"),
    cleanup="compact",
    partitions=1,
    description="When and how each segment is trained; read live.",
)
JOBS = Topic(
    "twins.jobs",
    "job_id",
    TrainingJob,
    "scheduler",
    ("scheduler", "ops"),
    cleanup="compact,delete",
    retention_ms=400 * DAY_MS,
    partitions=1,
    description="Trainings that are due, under way or over; whoever is assigned its partition leads.",
)
AUDIT = Topic(
    "twins.audit",
    "subject",
    Audit,
    "scheduler, ops",
    ("ops",),
    retention_ms=400 * DAY_MS,
    partitions=1,
    description="Who changed a model's stage or a schedule, and why.",
)
ADAPTERS = Topic(
    "twins.adapters",
    "segment",
    AdapterRelease,
    "trainer",
    ("worker", "ops"),
    cleanup="compact",
    partitions=1,
    description="The adapters that serve each segment; a null value takes them out of service.",
)
ADAPTER_STATES = Topic(
    "twins.adapter-states",
    "report_id",
    AdapterState,
    "worker",
    ("trainer", "ops"),
    # By worker, segment and version: the last word on each, and not for ever.
    cleanup="compact,delete",
    retention_ms=400 * DAY_MS,
    partitions=1,
    description="What each worker did with a released adapter: loaded, refused and why, or retired.",
)
SHADOWS = Topic(
    "twins.shadow-predictions",
    "customer_id",
    Prediction,
    "worker",
    ("analytics",),
    retention_ms=90 * DAY_MS,
    description="What adapters on trial would have answered. Nothing acts on them.",
)

TOPICS: tuple[Topic, ...] = (
    TRANSACTIONS, CLICKSTREAM, CATALOG, PROMOTIONS, CUSTOMERS, PROFILES, STATE, TRANSFERS, PRODUCT_DELTAS,
    PRODUCTS, VECTORS, REQUESTS, ASKS, PLANNER_STATE, QUERIES, PREDICTIONS, WORKER_STATE, OUTCOMES,
    SETTLER_STATE, ERASURE, LATE, DEAD_LETTERS, SEGMENT_MOVES, DRIFT_STATE, DRIFT_READINGS, DRIFT,
    ADAPTERS, ADAPTER_STATES, SHADOWS, SCHEDULE, JOBS, AUDIT,
)  # fmt: skip
TOPIC_BY_NAME: Mapping[str, Topic] = {topic.name: topic for topic in TOPICS}
