"""What is asked of a twin, what it answers, and what then happened."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from twin_store.messages.base import Identifier, Instant, Message, Money, Part, Probability, Text, Version

QuestionKind = Literal[
    "purchase",
    "basket_completion",
    "promotion_response",
    "voucher_redemption",
    "trip_choice",
    "survey",
    "review",
]
Trigger = Literal["request", "due_item", "open_basket", "campaign"]
OPTIONS_MAX = 200
SCALE_MAX = 11  # steps of a survey's scale: from 0 to 10, as in "how likely are you to recommend us"
Basket = Annotated[list[Identifier], Field(max_length=1_000)]


class SourceOffset(Part):
    """The next offset to read of a partition: everything before it is included."""

    topic: str
    partition: int
    offset: int


class Subject(Part):
    """What the question is about; which fields are set depends on the kind.

    purchase, promotion_response: `candidates` (one probability each). basket_completion: `partial_basket` and
    `candidates` (one of them completes it). trip_choice: `baskets` (one of them is the real trip).
    voucher_redemption: `campaign_id`, `campaign_type` and the campaign's `voucher_skus`. survey: `statement`, and the
    steps of its `scale` from one end to the other. review: one of `candidates`, what the review is of, and what it
    should speak to as `statement`, if anything. Version 1.1 added `statement` and `scale`.
    """

    candidates: Annotated[list[Identifier], Field(max_length=OPTIONS_MAX)] = []
    partial_basket: Basket = []
    baskets: Annotated[list[Basket], Field(max_length=10)] = []
    campaign_id: Identifier | None = None
    campaign_type: str | None = None
    voucher_skus: Annotated[list[Identifier], Field(max_length=50_000)] = []
    ends_at: Instant | None = None
    statement: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    scale: Annotated[list[Identifier], Field(max_length=SCALE_MAX)] = []


class ProductContext(Part):
    """What the environment says of one candidate at the moment of the question."""

    sku: Identifier
    price: Money | None = None
    display: bool = False
    mailer: bool = False


class RetrievedProduct(Part):
    """A product that the index returned for this question, with its cosine similarity."""

    sku: Identifier
    name: str
    similarity: float


class Environment(Part):
    """E of B = f(P, E): where the customer shops and what was retrieved."""

    store_id: Identifier | None = None
    context: list[ProductContext] = []
    products: list[RetrievedProduct] = []


class Settlement(Part):
    """What settles an answer: the customer's first receipt after `as_of`, or what happens until `until`."""

    by: Literal["next_trip", "until"]
    until: Instant


class Request(Message):
    """What a CRM asks. Topic `twins.requests`, keyed by request id. One request may name a whole audience."""

    event_type: ClassVar[str] = "twins.request"
    current_version: ClassVar[str] = "1.1"

    version: Version = "1.1"
    request_id: Identifier
    kind: QuestionKind
    requested_at: Instant
    as_of: Instant | None = None
    deadline: Instant | None = None
    customer_ids: Annotated[list[Identifier], Field(max_length=50_000)] = []
    audience_campaign_id: Identifier | None = None
    subject: Subject
    store_id: Identifier | None = None

    @model_validator(mode="after")
    def _asks_someone(self) -> Self:
        if not self.customer_ids and self.audience_campaign_id is None:
            raise ValueError("a request needs customer_ids or audience_campaign_id")
        return self


class Ask(Message):
    """One customer's share of a request. Topic `twins.asks`, keyed by customer.

    A request is keyed by its own id and may name thousands of customers; what the planner remembers of a customer
    (consent, budget) lies in her partition. So the planner deals a request out before it plans.
    """

    event_type: ClassVar[str] = "twins.ask"
    current_version: ClassVar[str] = "1.1"

    version: Version = "1.1"
    customer_id: Identifier
    request_id: Identifier
    kind: QuestionKind
    requested_at: Instant
    as_of: Instant | None = None
    deadline: Instant | None = None
    subject: Subject
    store_id: Identifier | None = None


class Query(Message):
    """One decision to make about one customer. Topic `twins.queries`, keyed by customer.

    `query_id` is a function of what raised it, so that a replay raises the same query.
    """

    event_type: ClassVar[str] = "twins.query"
    current_version: ClassVar[str] = "1.1"

    version: Version = "1.1"
    query_id: Identifier
    kind: QuestionKind
    customer_id: Identifier
    as_of: Instant
    raised_at: Instant
    deadline: Instant
    raised_by: Trigger
    request_id: Identifier | None = None
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    subject: Subject
    environment: Environment = Environment()
    settlement: Settlement
    twin_position: list[SourceOffset] = []


class Interval(Part):
    """95 %: of answers as probable as this one, about customers as well known, such a share comes true."""

    low: Probability
    high: Probability


class Prediction(Message):
    """An answer. Topic `twins.predictions`, keyed by customer, exactly one a query.

    `probabilities` has one entry per candidate or basket, or one for YES. `expired` answers came after the
    deadline and `rejected` ones could not be answered; neither has probabilities, `reason` says why.

    `segment` is the twin's at that moment, wherever an adapter or a model of its own made the answer depend on it.
    Version 1.2 added it, and what only answers of a language model have: the `adapter` that answered as name@version
    (none: the base), `prompt_hash` of what it read, `joint_mass` (by prompt, the probability that the model gave to all
    the answers asked for, together), the `likelihood` that it wrote of a voucher, and the `text` of a review, which
    begins with a mark that a model wrote it.

    Version 1.3 added `intervals`, one a probability where the decider gives any, and `abstains`: why it would rather
    not have answered, since too little is known of the customer. It says its probabilities all the same.
    """

    event_type: ClassVar[str] = "twins.prediction"
    current_version: ClassVar[str] = "1.3"

    version: Version = "1.3"
    query_id: Identifier
    kind: QuestionKind
    customer_id: Identifier
    status: Literal["answered", "expired", "rejected"]
    reason: str | None = None
    as_of: Instant
    raised_at: Instant
    answered_at: Instant
    latency_ms: float
    raised_by: Trigger
    request_id: Identifier | None = None
    probabilities: list[Probability] = []
    raw_probabilities: list[float] = []
    choice: str | None = None
    decider: str
    decider_version: str
    degraded_reason: str | None = None
    evidence: list[dict[str, float]] = []
    products: list[RetrievedProduct] = []
    subject: Subject
    settlement: Settlement
    twin_hash: str | None = None
    twin_position: list[SourceOffset] = []
    segment: Identifier | None = None
    adapter: str | None = None
    prompt_hash: str | None = None
    joint_mass: list[Probability] = []
    likelihood: Probability | None = None
    text: Text | None = None
    intervals: list[Interval] = []
    abstains: str | None = None


class Outcome(Message):
    """What happened after a prediction. Topic `twins.outcomes`, keyed by customer, one a settled prediction.

    `truths` has one 0/1 per candidate or basket, or one for YES. `void` outcomes settle nothing (a
    next-trip question whose customer never came back): they are counted and not scored.
    """

    event_type: ClassVar[str] = "twins.outcome"

    query_id: Identifier
    kind: QuestionKind
    customer_id: Identifier
    as_of: Instant
    settled_at: Instant
    settled_by: Literal["receipt", "horizon"]
    transaction_id: Identifier | None = None
    void: bool = False
    truths: list[int] = []
    probabilities: list[Probability] = []
    brier: float | None = None
    decider: str
    decider_version: str
