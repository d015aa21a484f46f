"""The Shopping-DNA as it is published (LBM, section 3.2): what the CRM and the analysts read."""

from typing import ClassVar

from twin_store.messages.base import Identifier, Instant, Message, Money, MoneySum, Part, Version
from twin_store.messages.decisions import SourceOffset


class Activity(Part):
    """Totals over the whole life of the twin, returns taken back."""

    receipts: int
    lines: int
    units: float
    spend: MoneySum
    returned_lines: int
    first_seen: Instant | None = None
    last_seen: Instant | None = None


class BasketStatistics(Part):
    """Mean basket over the window."""

    mean_spend: MoneySum
    mean_lines: float
    days_between_trips: float | None = None


class CategoryPreference(Part):
    """A category, item type or brand: its share of the window's lines, and how price-sensitive she is in it.

    `price_tier` and `price_index` are those of `ShoppingDna`, over its lines alone. An item type is named with
    its section before it, as in `FLUID MILK PRODUCTS / WHOLE`.
    """

    category: str
    share: float
    lines: int
    price_tier: float | None = None
    price_index: float | None = None


class RegularItem(Part):
    """Bought on several days of the window. `due` is days since it was last bought over `interval_days`."""

    sku: Identifier
    purchase_days: int
    interval_days: float
    last_bought: str
    due: float


class Promotion(Part):
    """Share of the window's lines bought on a deal or with a coupon, and the share of spend saved.

    `deal_lift` is a ratio: lines she bought on a deal over those that would be if she bought each product on
    deals as often as all customers do. Above 1 she seeks deals. None where no deal is known of what she bought.
    """

    deal_share: float
    coupon_lines: int
    discount_share: float
    deal_lift: float | None = None


class Timing(Part):
    """Receipts by hour of day (24) and day of week (7, Monday first), UTC, over the twin's life."""

    by_hour: list[int]
    by_weekday: list[int]


class Trend(Part):
    """Recency at `as_of`, and spend of the last four weeks against the eight before, as a ratio."""

    days_since_last_receipt: float | None = None
    spend_last_4_weeks: MoneySum
    spend_ratio: float | None = None


class Funnel(Part):
    """Counts of clicks by step (SimPersona, section 3.1) and the intent they give."""

    sessions: int = 0
    search: int = 0
    view: int = 0
    add_to_cart: int = 0
    remove_from_cart: int = 0
    checkout_start: int = 0
    purchase: int = 0
    intent: float = 0.0


class ShoppingDna(Part):
    """The readable DNA of one customer (LBM, section 3.2); rates and preferences are over the last 53 weeks.

    Price sensitivity is told in two numbers, both None where no price is known of what she bought:

    - `price_tier`, 0 to 1: the mean over her lines of the product's price percentile in its section, 0 the
      cheapest and 1 the dearest. It says which products she chooses.
    - `price_index`, a ratio: net paid over the products' median shelf price x units. It says what she pays for
      them: below 1 less than is usual.

    These, the preferences and `deal_lift` are read against catalogue and product statistics as they stood when the
    profile was published; all else is read from the twin alone.
    """

    activity: Activity
    basket: BasketStatistics
    categories: list[CategoryPreference]
    types: list[CategoryPreference] = []
    brands: list[CategoryPreference] = []
    regulars: list[RegularItem]
    promotion: Promotion
    timing: Timing
    channels: dict[str, int]
    stores: dict[str, int]
    trend: Trend
    funnel: Funnel
    price_tier: float | None = None
    price_index: float | None = None
    life_stage: str | None = None
    demographics: dict[str, str] = {}


class Profile(Message):
    """A twin as of its last event. Topic `twins.profiles`, compacted, keyed by customer.

    `content_hash` covers the twin's whole state, so a recompute from the lake must give the same.
    `offsets` are the source positions included; `events_folded` counts receipts, returns, voids and clicks.
    Version 1.1 added `types`, `price_index` and `deal_lift`.
    """

    event_type: ClassVar[str] = "twins.profile"
    current_version: ClassVar[str] = "1.1"

    version: Version = "1.1"
    customer_id: Identifier
    as_of: Instant
    content_hash: str
    events_folded: int
    personalisation_consent: bool
    offsets: list[SourceOffset]
    dna: ShoppingDna


class WeekStatistics(Part):
    """What one week sold of a product. `week` counts Mondays since 1970-01-05."""

    week: int
    lines: int
    units: float
    net: MoneySum
    deal_lines: int


class ProductStatistics(Message):
    """Price level, popularity and spread of one product. Topic `twins.products`, compacted, keyed by sku."""

    event_type: ClassVar[str] = "twins.product"

    sku: Identifier
    as_of: Instant
    revision: int
    content_hash: str
    price_p10: MoneySum | None = None
    price_median: MoneySum | None = None
    price_p90: MoneySum | None = None
    lines: int
    deal_share: float
    weeks: list[WeekStatistics]
    stores: list[Identifier]


class ProductVector(Message):
    """A product's embedding and payload. Topic `twins.vectors`, compacted, keyed by sku.

    `vector` is base64 of little-endian float16, unit length; any process can build its index from this topic.
    """

    event_type: ClassVar[str] = "twins.vector"

    sku: Identifier
    revision: int
    text_hash: str
    model: str
    vector: str
    name: str
    section: str | None = None
    item_type: str | None = None
    brand: str | None = None
    list_price: Money | None = None
    stocked_at: list[Identifier] | None = None
