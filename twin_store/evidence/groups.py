"""The evidence on items by what it tells: what an ablation takes away at a time."""

from twin_store.evidence.names import ITEM_EVIDENCE

_BY_HAND: dict[str, tuple[str, ...]] = {
    "due-ness": (
        "item_due", "item_trips_due", "item_last_interval", "item_interval", "item_spread", "rebuy_due",
        "type_due", "type_trips_due", "type_last_interval", "type_interval", "type_spread", "type_rebuy_due",
    ),
    "price against what she paid": (
        "item_price_to_mean_paid", "item_price_to_last_paid", "item_price_to_least_paid", "price_to_type_paid",
    ),
    "deals, display and mailer": (
        "item_deal_share", "type_deal_share", "section_deal_share", "deal_share", "coupon_share",
        "discount_share", "display", "mailer", "product_deal_share", "product_deal_share_last",
        "price_to_usual",
    ),
    "brand": ("brand_share", "brand_of_section", "private_of_section", "private_share", "own_brand"),
    "substitution within the type": (
        "item_of_type", "item_of_section", "item_is_last_of_type", "type_kinds", "type_other_since",
    ),
    "household tempo": (
        "trips", "trips_month", "trip_since", "trip_interval", "trip_due", "basket_lines", "basket_spend",
        "tenure", "variety", "day_lines", "day_lines_last",
    ),
    "moment and store": (
        "hour_share", "weekday_share", "store_share", "store_lists", "store_lines", "store_lift", "store_type_lift",
    ),
    "when all customers buy it": ("hour_lift", "weekday_lift", "type_hour_lift", "type_weekday_lift"),
    "sizes of baskets": (
        "item_lines", "type_lines", "section_lines", "day_lines", "day_lines_last", "store_lines", "product_lines",
        "type_product_lines", "basket_lines",
    ),
    "first purchases, reach and shares of the market": (
        "trial_share", "type_trial_share", "product_reach", "type_reach", "product_of_type", "type_of_section",
        "type_baskets",
    ),
    "popularity": (
        "popularity_1", "popularity_2", "popularity_4", "popularity_8", "growth", "weeks_sold",
        "product_buyers", "price",
    ),
    "what all customers buy again": ("rebuy_rate", "rebuy_days", "rebuy_due", "type_rebuy_rate", "type_rebuy_due"),
    "taste and history affinity": (
        "history_affinity", "history_type_affinity", "taste", "type_taste", "taste_lift",
    ),
}  # fmt: skip

_LEVEL = (
    "days", "since", "trips_since", "interval", "spread", "last_interval", "due", "trips_due", "share", "share_month",
    "share_quarter", "lines",
)  # fmt: skip
_KNOWN = {fact.name for fact in ITEM_EVIDENCE}


def _of_level(level: str) -> frozenset[str]:
    """The twelve numbers of a level."""
    return frozenset(
        name for name in _KNOWN if name.startswith(f"{level}_") and name.removeprefix(f"{level}_") in _LEVEL
    )


GROUPS: dict[str, frozenset[str]] = {
    "her history of the item": _of_level("item"),
    "her history of the type": _of_level("type"),
    "her history of the section": _of_level("section"),
    **{name: frozenset(names) for name, names in _BY_HAND.items()},
}
"""Columns of `ITEM_EVIDENCE` by group; a column may be in several."""

if _UNKNOWN := frozenset().union(*GROUPS.values()) - _KNOWN:
    raise ValueError(f"groups name evidence that there is not: {sorted(_UNKNOWN)}")
