"""The Shopping-DNA in words (LBM, section 3.2): the same lines for all questions about a customer at a moment."""

import math
from collections.abc import Iterator, Mapping, Sequence

from twin_store.messages.profiles import CategoryPreference, ShoppingDna
from twin_store.prompts.escaping import amount, quoted
from twin_store.prompts.sections import Line, Section

TITLE = "Shopping-DNA"
GROUPS_SHOWN = 6
PLACES_SHOWN = 3
REGULARS_SHOWN = 12
DEMOGRAPHICS_SHOWN = 8
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PARTS_OF_DAY = {
    "night": range(6),
    "morning": range(6, 12),
    "afternoon": range(12, 18),
    "evening": range(18, 24),
}

DNA_USEFULNESS: tuple[str, ...] = (
    "dna.activity",
    "dna.basket",
    "dna.categories",
    *(f"dna.regular.{number}" for number in range(1, REGULARS_SHOWN + 1)),
    "dna.promotion",
    "dna.price",
    "dna.types",
    "dna.trend",
    "dna.brands",
    "dna.demographics",
    "dna.online",
    "dna.times",
    "dna.weekdays",
    "dna.channels",
    "dna.stores",
)
"""Keys of the lines, the most telling first, by judgement."""


def dna_section(dna: ShoppingDna, names: Mapping[str, str]) -> Section:
    """The DNA in lines of fixed order. `dna` may be the fast twin of the message; `names` are products' by sku."""
    return Section(TITLE, tuple(Line(f"dna.{key}", text) for key, text in _lines(dna, names)))


def _lines(dna: ShoppingDna, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    activity, basket, promotion, trend = dna.activity, dna.basket, dna.promotion, dna.trend
    yield (
        "activity",
        f"so far: {activity.receipts} receipts, {activity.lines} lines, {amount(activity.spend)} spent, "
        f"{activity.returned_lines} lines taken back",
    )
    yield (
        "basket",
        f"usual basket: {_number(basket.mean_lines)} lines for {amount(basket.mean_spend)}, "
        f"a trip every {_number(basket.days_between_trips)} days",
    )
    yield (
        "promotion",
        f"promotions: {_percent(promotion.deal_share)} of lines on a deal, {promotion.coupon_lines} with a coupon, "
        f"{_percent(promotion.discount_share)} of spend saved; deals sought {_number(promotion.deal_lift)} times as "
        "others",
    )
    yield (
        "price",
        f"prices: chooses {_number(dna.price_tier)}, from 0 cheapest to 1 dearest of each category; pays "
        f"{_number(dna.price_index)} times the usual price",
    )
    yield "categories", f"categories: {_groups(dna.categories)}"
    yield "types", f"item types: {_groups(dna.types)}"
    yield "brands", f"brands: {_groups(dna.brands)}"
    for number, item in enumerate(dna.regulars[:REGULARS_SHOWN], start=1):
        name = quoted(names.get(item.sku) or item.sku)
        yield (
            f"regular.{number}",
            f"regular item: {name}, on {item.purchase_days} days, every {_number(item.interval_days)} days, "
            f"due {_number(item.due)}",
        )
    yield (
        "trend",
        f"last 4 weeks: {amount(trend.spend_last_4_weeks)} spent, {_number(trend.spend_ratio)} times as before",
    )
    yield "times", f"times of day, UTC: {_shares(PARTS_OF_DAY, _by_part_of_day(dna.timing.by_hour))}"
    yield "weekdays", f"days of the week: {_shares(WEEKDAYS, dna.timing.by_weekday)}"
    yield "channels", f"channels: {_places(dna.channels)}"
    yield "stores", f"stores: {_places(dna.stores)}"
    if dna.funnel.sessions:
        funnel = dna.funnel
        yield (
            "online",
            f"online: {funnel.sessions} sessions, {funnel.view} views, {funnel.add_to_cart} put in the cart, "
            f"{funnel.purchase} purchases",
        )
    if dna.demographics:
        yield "demographics", f"said to be: {_demographics(dna.demographics)}"


def _number(value: float | None) -> str:
    """At most two decimals."""
    return "unknown" if value is None or not math.isfinite(value) else f"{round(value, 2):g}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if math.isfinite(share) else "unknown"


def _groups(groups: Sequence[CategoryPreference]) -> str:
    said = [f"{quoted(group.category)} {_percent(group.share)}" for group in groups[:GROUPS_SHOWN]]
    return ", ".join(said) or "none yet"


def _places(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:PLACES_SHOWN]
    total = sum(counts.values())
    return ", ".join(f"{quoted(name)} {count / total:.0%}" for name, count in most if total > 0) or "none yet"


def _by_part_of_day(by_hour: Sequence[int]) -> list[int]:
    return [sum(by_hour[hour] for hour in hours) for hours in PARTS_OF_DAY.values()]


def _shares(names: Sequence[str] | Mapping[str, range], counts: Sequence[int]) -> str:
    total = sum(counts)
    if total <= 0:
        return "unknown"
    return ", ".join(f"{name} {count / total:.0%}" for name, count in zip(names, counts, strict=True))


def _demographics(given: Mapping[str, str]) -> str:
    shown = sorted(given.items())[:DEMOGRAPHICS_SHOWN]
    return ", ".join(f"{quoted(name)} is {quoted(value)}" for name, value in shown)
