"""A profile on a terminal: the Shopping-DNA as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from twin_store.messages import Profile
from twin_store.messages.profiles import CategoryPreference, RegularItem, ShoppingDna

SPARKS = "▁▂▃▄▅▆▇█"
WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
BAR_WIDTH = 24
GROUPS_SHOWN = 8
DUE_AFTER = 1.0  # as long since the last purchase as between two of them
LONG_DUE_AFTER = 3.0


def dna(profile: Profile, names: Mapping[str, str], currency: str) -> RenderableType:
    """The whole DNA; `names` are those of its regular items, by sku."""
    found = profile.dna
    panels = [
        _panel("activity", _activity(found, currency)),
        _panel("basket", _basket(found, currency)),
        _panel("promotions", _promotions(found)),
        _panel("trend", _trend(found, currency)),
    ]
    shown: list[RenderableType] = [_title(profile), Columns(panels)]
    if found.categories:
        shown.append(_panel("categories", _groups(found.categories)))
    if found.types:
        shown.append(_panel("item types", _groups(found.types)))
    if found.brands:
        shown.append(_panel("brands", _groups(found.brands)))
    if found.regulars:
        shown.append(_panel("regular items", _regulars(found.regulars, names)))
    shown.append(_panel("when and where (UTC)", _timing(found)))
    if found.funnel.sessions:
        shown.append(_panel("clicks", _funnel(found)))
    return Group(*shown)


def sparkline(values: Sequence[float]) -> str:
    """`▁▃█`: one character a value, the greatest full height; a value of 0 is a blank."""
    top = max(values, default=0)
    if top <= 0:
        return " " * len(values)
    return "".join(
        " " if value <= 0 else SPARKS[min(len(SPARKS) - 1, int(value / top * len(SPARKS)))]
        for value in values
    )


def due_words(due: float) -> str:
    """How due a regular item is, in words."""
    if due >= LONG_DUE_AFTER:
        return "given up?"
    return "due" if due >= DUE_AFTER else "not yet"


def _title(profile: Profile) -> Text:
    given = profile.dna.demographics
    about = ", ".join(f"{name} {value}" for name, value in sorted(given.items()))
    title = Text(f"customer {profile.customer_id}", style="bold")
    title.append(
        f"  as of {_instant(profile.as_of)}, {profile.events_folded:,} events, "
        f"hash {profile.content_hash[:12]}",
        style="dim",
    )
    if not profile.personalisation_consent:
        title.append("  no consent to personalisation", style="red")
    if about:
        title.append(f"\n{about}")
    return title


def _panel(title: str, body: RenderableType) -> Panel:
    return Panel(body, title=title, title_align="left", border_style="dim")


def _activity(found: ShoppingDna, currency: str) -> RenderableType:
    activity = found.activity
    return _facts(
        ("receipts", f"{activity.receipts:,}"),
        ("lines", f"{activity.lines:,}"),
        ("spend", f"{activity.spend} {currency}"),
        ("returned lines", f"{activity.returned_lines:,}"),
        ("first seen", _day(activity.first_seen)),
        ("last seen", _day(activity.last_seen)),
    )


def _basket(found: ShoppingDna, currency: str) -> RenderableType:
    basket = found.basket
    return _facts(
        ("mean spend", f"{basket.mean_spend} {currency}"),
        ("mean lines", f"{basket.mean_lines:.1f}"),
        ("days apart", _number(basket.days_between_trips, 1)),
        ("price tier", _number(found.price_tier, 2)),
        ("paid to usual", _ratio(found.price_index)),
    )


def _promotions(found: ShoppingDna) -> RenderableType:
    promotion = found.promotion
    return _facts(
        ("lines on a deal", f"{promotion.deal_share:.0%}"),
        ("coupon lines", f"{promotion.coupon_lines:,}"),
        ("deals to usual", _ratio(promotion.deal_lift)),
        ("saved of spend", f"{promotion.discount_share:.0%}"),
    )


def _trend(found: ShoppingDna, currency: str) -> RenderableType:
    trend = found.trend
    return _facts(
        ("days since last", _number(trend.days_since_last_receipt, 1)),
        ("last 4 weeks", f"{trend.spend_last_4_weeks} {currency}"),
        ("to the 8 before", _ratio(trend.spend_ratio)),
    )


def _groups(groups: Sequence[CategoryPreference]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim")
    with_prices = any(group.price_tier is not None or group.price_index is not None for group in groups)
    table.add_column("")
    table.add_column("")
    for heading in ("share", "lines", *(["price tier", "paid to usual"] if with_prices else [])):
        table.add_column(heading, justify="right")
    top = max(group.share for group in groups) or 1.0
    for group in groups[:GROUPS_SHOWN]:
        bar = Text("█" * max(1, round(BAR_WIDTH * max(0.0, group.share) / top)), style="cyan")
        row: list[RenderableType] = [group.category, bar, f"{group.share:.0%}", f"{group.lines:,}"]
        prices = [_number(group.price_tier, 2), _ratio(group.price_index)]
        table.add_row(*row, *(prices if with_prices else []))
    return table


def _regulars(items: Sequence[RegularItem], names: Mapping[str, str]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("sku", "name", "bought on", "every", "last bought", "due", ""):
        table.add_column(heading, justify="right" if heading in ("bought on", "every", "due") else "left")
    for item in items:
        style = {"due": "bold green", "given up?": "dim"}.get(due_words(item.due), "")
        table.add_row(
            item.sku,
            names.get(item.sku, "-"),
            f"{item.purchase_days} days",
            f"{item.interval_days:.1f} days",
            item.last_bought,
            f"{item.due:.2f}",
            Text(due_words(item.due), style=style),
        )
    return table


def _timing(found: ShoppingDna) -> RenderableType:
    weekdays = found.timing.by_weekday
    days = " ".join(f"{name} {sparkline([*weekdays, 0])[place]}" for place, name in enumerate(WEEKDAYS))
    lines = [f"by hour  0 [{sparkline(found.timing.by_hour)}] 23    by day  {days}"]
    if found.channels:
        lines.append("channels " + ", ".join(f"{name} {count:,}" for name, count in found.channels.items()))
    if found.stores:
        lines.append("stores   " + ", ".join(f"{name} {count:,}" for name, count in found.stores.items()))
    return Text("\n".join(lines))


def _funnel(found: ShoppingDna) -> RenderableType:
    funnel = found.funnel
    steps = ("sessions", "search", "view", "add_to_cart", "checkout_start", "purchase")
    said = "  ".join(f"{step.replace('_', ' ')} {getattr(funnel, step):,}" for step in steps)
    return Text(f"{said}  intent {funnel.intent:.2f}")


def _facts(*facts: tuple[str, str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in facts:
        table.add_row(name, value)
    return table


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _day(instant: datetime | None) -> str:
    return "-" if instant is None else instant.date().isoformat()


def _instant(instant: datetime) -> str:
    return instant.isoformat(" ", "minutes").replace("+00:00", "Z")
