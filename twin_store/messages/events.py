"""What retail systems publish: receipts, clicks, the catalogue, promotions, customers, erasure requests."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from twin_store.messages.base import LINES_MAX, Identifier, Instant, Message, Money, Part, Quantity, Text

TransactionKind = Literal["sale", "return", "void"]
ClickAction = Literal["search", "view", "add_to_cart", "remove_from_cart", "checkout_start", "purchase"]
PromotionKind = Literal["display", "mailer", "price_cut", "coupon", "campaign"]


class TransactionLine(Part):
    """One line of a receipt. `net` is what was paid for the whole line after `discount`."""

    sku: Identifier
    quantity: Quantity
    unit_price: Money | None = None
    discount: Money = "0"
    coupon_discount: Money = "0"
    net: Money | None = None
    coupon_ids: Annotated[list[Identifier], Field(max_length=50)] = []
    promotion_ids: Annotated[list[Identifier], Field(max_length=50)] = []


class Transaction(Message):
    """A receipt, or what takes one back. Topic `retail.transactions`, keyed by customer.

    A `return` names the receipt it takes from and the skus and quantities taken back; a `void` takes back a
    whole receipt and needs no lines. Either may arrive before the sale.
    """

    event_type: ClassVar[str] = "retail.transaction"

    transaction_id: Identifier
    customer_id: Identifier
    kind: TransactionKind = "sale"
    occurred_at: Instant
    store_id: Identifier | None = None
    channel: Annotated[str, Field(min_length=1, max_length=32)] = "store"
    currency: Annotated[str, Field(min_length=3, max_length=3)]
    lines: Annotated[list[TransactionLine], Field(max_length=LINES_MAX)] = []
    original_transaction_id: Identifier | None = None

    @model_validator(mode="after")
    def _names_its_original(self) -> Self:
        if self.kind != "sale" and self.original_transaction_id is None:
            raise ValueError(f"a {self.kind} must name original_transaction_id")
        if self.kind != "void" and not self.lines:
            raise ValueError(f"a {self.kind} must have at least one line")
        return self


class Click(Message):
    """One step of a session. Topic `retail.clickstream`, keyed by customer or anonymous id."""

    event_type: ClassVar[str] = "retail.click"

    event_id: Identifier
    session_id: Identifier
    customer_id: Identifier | None = None
    anonymous_id: Identifier | None = None
    action: ClickAction
    occurred_at: Instant
    sku: Identifier | None = None
    query: Annotated[str, Field(max_length=512)] | None = None
    quantity: Quantity = 1.0
    transaction_id: Identifier | None = None

    @model_validator(mode="after")
    def _belongs_to_someone(self) -> Self:
        if self.customer_id is None and self.anonymous_id is None:
            raise ValueError("a click needs customer_id or anonymous_id")
        return self


class CatalogItem(Message):
    """A product as it stands. Topic `retail.catalog`, compacted, keyed by sku; a null value deletes it."""

    event_type: ClassVar[str] = "retail.catalog_item"

    sku: Identifier
    updated_at: Instant
    name: Annotated[str, Field(max_length=512)]
    division: Annotated[str, Field(max_length=128)] | None = None
    section: Annotated[str, Field(max_length=128)] | None = None
    item_type: Annotated[str, Field(max_length=128)] | None = None
    brand: Annotated[str, Field(max_length=128)] | None = None
    private_label: bool | None = None
    package_size: Annotated[str, Field(max_length=64)] | None = None
    list_price: Money | None = None
    stocked_at: Annotated[list[Identifier], Field(max_length=100_000)] | None = None
    description: Text | None = None


class PromotedItem(Part):
    """A sku inside a promotion, with its place in the display or mailer, or its cut price."""

    sku: Identifier
    location: Annotated[str, Field(max_length=32)] | None = None
    price: Money | None = None


class Promotion(Message):
    """A display, mailer, price cut, coupon or campaign. Topic `retail.promotions`, keyed by promotion id.

    Displays, mailers and price cuts hold in `store_id` (everywhere when absent) from `starts_at` up to, not
    including, `ends_at`. A coupon belongs to `campaign_id`; a campaign names its audience.
    """

    event_type: ClassVar[str] = "retail.promotion"

    promotion_id: Identifier
    kind: PromotionKind
    starts_at: Instant
    ends_at: Instant
    store_id: Identifier | None = None
    items: Annotated[list[PromotedItem], Field(max_length=50_000)] = []
    campaign_id: Identifier | None = None
    campaign_type: Annotated[str, Field(max_length=64)] | None = None
    audience: Annotated[list[Identifier], Field(max_length=50_000)] = []

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError("ends_at must be after starts_at")
        return self


class Customer(Message):
    """Demographics, consent and identity links. Topic `retail.customers`, compacted, keyed by customer."""

    event_type: ClassVar[str] = "retail.customer"

    customer_id: Identifier
    updated_at: Instant
    demographics: Annotated[
        dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=128)]],
        Field(max_length=64),
    ] = {}
    personalisation_consent: bool = True
    anonymous_ids: Annotated[list[Identifier], Field(max_length=100)] = []


class Erasure(Message):
    """Forget a customer: everything up to `requested_at`. Topic `twins.erasure`, keyed by customer."""

    event_type: ClassVar[str] = "twins.erasure"

    customer_id: Identifier
    requested_at: Instant
    reason: Annotated[str, Field(max_length=512)] = ""
