"""Every number of the evidence: its name, its unit, and what it says. The order is the order of the columns.

These names are a contract: they stand in predictions, prompts and fitted models. Missing is NaN.
"""

from typing import NamedTuple


class Fact(NamedTuple):
    """One number of the evidence."""

    name: str
    unit: str
    meaning: str


def _level(level: str, noun: str) -> tuple[Fact, ...]:
    """How she has bought at one level of the catalogue: the item itself, its type, its section."""
    return (
        Fact(f"{level}_days", "days", f"days on which she bought {noun}, in the last 53 weeks"),
        Fact(f"{level}_since", "days", f"days since she last bought {noun}"),
        Fact(f"{level}_trips_since", "trips", f"shopping days since she last bought {noun}"),
        Fact(f"{level}_interval", "days", f"mean days between two days on which she bought {noun}"),
        Fact(f"{level}_spread", "days", "standard deviation of those intervals"),
        Fact(f"{level}_last_interval", "days", "the last of those intervals"),
        Fact(f"{level}_due", "ratio", "days since over mean interval: 1 is when she would buy again"),
        Fact(f"{level}_trips_due", "ratio", "the same, counted in shopping days"),
        Fact(f"{level}_share", "share", f"share of her shopping days with {noun}"),
        Fact(f"{level}_share_month", "share", "the same, a day's weight halving every 4 weeks"),
        Fact(f"{level}_share_quarter", "share", "the same, a day's weight halving every 13 weeks"),
        Fact(f"{level}_lines", "log lines", f"mean log of her lines on the days she bought {noun}"),
    )


LEVEL_COLUMNS = len(_level("", ""))

_ITEM = (
    Fact("item_units", "units", "mean units on a day she bought the item"),
    Fact("item_deal_share", "share", "share of her purchases of the item that were on a deal"),
    Fact("item_price_to_mean_paid", "ratio", "price now over the mean she paid for the item"),
    Fact("item_price_to_last_paid", "ratio", "price now over what she paid for it last"),
    Fact("item_price_to_least_paid", "ratio", "price now over the least she paid for it"),
    Fact("item_views", "count", "times she viewed the item in the last 28 days"),
    Fact("item_carts", "count", "times she put the item in the cart, less removals, in the last 28 days"),
    Fact("item_of_type", "share", "share of her purchases in the item's type that are the item"),
    Fact("item_of_section", "share", "share of her purchases in the item's section that are the item"),
    Fact("item_is_last_of_type", "yes/no", "1 if the item was bought on the last day she bought its type"),
    Fact("type_kinds", "count", "different items of the type she bought"),
    Fact("type_deal_share", "share", "share of her purchases in the type that were on a deal"),
    Fact("section_deal_share", "share", "share of her purchases in the section that were on a deal"),
    Fact("price_to_type_paid", "ratio", "price now over the mean she paid a unit in the type"),
    Fact("brand_share", "share", "share of her purchases that are of the item's brand"),
    Fact("brand_of_section", "share", "share of her purchases in the section that are of the item's brand"),
    Fact("private_of_section", "share", "share of her purchases in the section that are own-brand"),
    Fact("type_other_since", "days", "days since she last bought another item of the type"),
)

_HOUSEHOLD = (
    Fact("trips", "days", "her shopping days in the last 53 weeks"),
    Fact("trips_month", "days", "her shopping days in the last 4 weeks"),
    Fact("trip_since", "days", "days since she last shopped"),
    Fact("trip_interval", "days", "mean days between shopping days in the last 13 weeks"),
    Fact("trip_due", "ratio", "days since she last shopped over that interval"),
    Fact("basket_lines", "lines", "mean lines a receipt"),
    Fact("basket_spend", "money", "mean spend a receipt, in minor units"),
    Fact("tenure", "days", "days since she was first seen, at most 371"),
    Fact("variety", "share", "different items over purchases: 1 when she never buys the same again"),
    Fact("deal_share", "share", "share of her purchases on a deal"),
    Fact("coupon_share", "share", "share of her purchases with a coupon"),
    Fact("private_share", "share", "share of her purchases that are own-brand"),
    Fact("discount_share", "share", "discounts over spend before discounts"),
    Fact("day_lines", "log lines", "mean log of her lines on a shopping day"),
    Fact("day_lines_last", "log lines", "log of her lines on her last shopping day"),
)

_MOMENT = (
    Fact("hour_share", "share", "share of her receipts within an hour of this time of day"),
    Fact("weekday_share", "share", "share of her receipts on this day of the week"),
    Fact("store_share", "share", "share of her receipts in this store"),
    Fact("store_lists", "yes/no", "1 if the store sold the item before this week"),
    Fact("display", "yes/no", "1 if the item is on display in the store"),
    Fact("mailer", "yes/no", "1 if the item is in the store's mailer"),
    Fact("store_lines", "lines", "her mean lines a receipt in this store"),
)

_PRODUCT = (
    Fact("price", "money", "price now, else the product's usual price, in minor units"),
    Fact("price_to_usual", "ratio", "price now, else last week's, over the median week of the last 13"),
    Fact("popularity_1", "per 10,000", "its share of all lines sold in the last completed week"),
    Fact("popularity_2", "per 10,000", "the same over the last 2 completed weeks"),
    Fact("popularity_4", "per 10,000", "the same over the last 4 completed weeks"),
    Fact("popularity_8", "per 10,000", "the same over the last 8 completed weeks"),
    Fact("growth", "log ratio", "log of popularity over 2 weeks against 8"),
    Fact("weeks_sold", "weeks", "of the last 13 completed weeks those in which it sold"),
    Fact("product_deal_share", "share", "share of its lines of the last 8 completed weeks on a deal"),
    Fact("product_deal_share_last", "share", "the same in the last completed week"),
    Fact("own_brand", "yes/no", "1 if it is the retailer's own brand"),
)

_AFFINITY = (
    Fact("rebuy_rate", "share", "share of its purchases that the same customer repeats (all customers)"),
    Fact("rebuy_days", "days", "median days until that (all customers)"),
    Fact("rebuy_due", "ratio", "days since she last bought it over that median"),
    Fact("product_buyers", "log count", "log of the customers who ever bought it"),
    Fact("type_rebuy_rate", "share", "as rebuy_rate, for the item's type"),
    Fact("type_rebuy_due", "ratio", "as rebuy_due, for the item's type"),
    Fact("history_affinity", "score", "how much what she buys goes with the item, over her recent purchases"),
    Fact("history_type_affinity", "score", "the same by types"),
    Fact("taste", "score", "how near the item lies to her taste, as told by what customers buy alike"),
    Fact("type_taste", "score", "how near the item's type lies to her taste"),
    Fact("basket_size", "items", "items in the basket so far"),
    Fact("basket_affinity", "score", "how much the basket so far goes with the item, summed"),
    Fact("basket_affinity_best", "score", "the same, of the basket's best single item"),
    Fact("basket_type_lift", "log ratio", "how much oftener than by chance the types go together, mean"),
    Fact("basket_type_lift_best", "log ratio", "the same, of the basket's best single type"),
    Fact("basket_has_type", "yes/no", "1 if the basket already holds the item's type"),
    Fact("basket_has_section", "yes/no", "1 if the basket already holds the item's section"),
    Fact(
        "taste_lift", "score", "taste over the root of the item's buyers: nearer than its popularity makes it"
    ),
    Fact(
        "hour_lift", "log ratio", "how much oftener than anything else the item is bought at this time of day"
    ),
    Fact("weekday_lift", "log ratio", "the same on this weekday"),
    Fact("type_hour_lift", "log ratio", "as hour_lift, for the item's type"),
    Fact("type_weekday_lift", "log ratio", "as weekday_lift, for the item's type"),
    Fact("product_lines", "log lines", "mean log of the lines of baskets with the item (all customers)"),
    Fact("type_product_lines", "log lines", "the same for the item's type"),
    Fact("trial_share", "share", "share of its purchases of 13 weeks that were the customer's first"),
    Fact("product_of_type", "share", "share of what its type sold in 13 weeks that was the item"),
    Fact("type_of_section", "share", "share of what its section sold in 13 weeks that was its type"),
    Fact("store_lift", "log ratio", "how much oftener than elsewhere the item is bought in this store"),
    Fact("store_type_lift", "log ratio", "the same for its type"),
    Fact("product_reach", "share", "share of all customers who ever bought it"),
    Fact("type_reach", "share", "share of all customers who ever bought its type"),
    Fact("type_trial_share", "share", "as trial_share, for the item's type"),
    Fact("type_baskets", "share", "share of all baskets that held its type"),
)

ITEM_EVIDENCE: tuple[Fact, ...] = (
    *_level("item", "the item"),
    *_level("type", "its type"),
    *_level("section", "its section"),
    *_ITEM,
    *_HOUSEHOLD,
    *_MOMENT,
    *_PRODUCT,
    *_AFFINITY,
)
"""One row a candidate: purchase, promotion_response and basket_completion."""

OF_ITEMS = 3 * LEVEL_COLUMNS
OF_HOUSEHOLD = OF_ITEMS + len(_ITEM)
OF_MOMENT = OF_HOUSEHOLD + len(_HOUSEHOLD)
OF_PRODUCT = OF_MOMENT + len(_MOMENT)
OF_AFFINITY = OF_PRODUCT + len(_PRODUCT)
ITEM_COLUMNS = len(ITEM_EVIDENCE)

BASKET_EVIDENCE: tuple[Fact, ...] = (
    Fact("items", "items", "different items in the basket"),
    Fact("size_ratio", "log ratio", "log of the basket's items over her mean lines a receipt"),
    Fact("spend_ratio", "log ratio", "log of the basket at usual prices over her mean spend a receipt"),
    Fact("known_share", "share", "share of the items that she bought in the last 53 weeks"),
    Fact("known_items", "items", "items that she bought in the last 53 weeks"),
    Fact("known_types", "share", "share of the items whose type she bought"),
    Fact("known_sections", "share", "share of the items whose section she bought"),
    Fact("surprise_item", "log ratio", "mean log of her share of the item over everybody's"),
    Fact("surprise_type", "log share", "mean log of her share of the type"),
    Fact("surprise_section", "log share", "mean log of her share of the section"),
    Fact("surprise_total", "log ratio", "surprise_item summed over the items"),
    Fact("item_share", "share", "mean share of her shopping days with the item"),
    Fact("item_share_best", "share", "the greatest of those"),
    Fact("item_share_month", "share", "mean share with weights halving every 4 weeks"),
    Fact("item_due", "ratio", "mean of days since over interval, of the items she buys regularly"),
    Fact("item_since", "days", "mean days since she bought the known items"),
    Fact("item_since_least", "days", "the least of those"),
    Fact("type_due", "ratio", "mean of days since over interval, by type"),
    Fact("history_affinity", "score", "mean of how much what she buys goes with the items"),
    Fact("history_type_affinity", "score", "the same by types"),
    Fact("taste", "score", "mean of how near the items lie to her taste"),
    Fact("type_taste", "score", "the same by types"),
    Fact("brand_share", "share", "mean share of her purchases of the items' brands"),
    Fact("private_difference", "share", "own-brand share of the items less hers"),
    Fact("deal_difference", "share", "deal share of the items in the market less hers"),
    Fact("price_to_type_paid", "ratio", "mean price over what she paid in the type"),
    Fact("popularity", "log per 10,000", "mean log popularity of the items over 8 weeks"),
    Fact("store_lists", "share", "share of the items that the store sold before this week"),
    Fact("trips", "days", "her shopping days in the last 53 weeks"),
    Fact("trip_since", "days", "days since she last shopped"),
    Fact("variety", "share", "different items over purchases"),
    Fact(
        "known_lift",
        "log ratio",
        "mean log of how much likelier she knows, or does not know, each item than others",
    ),
    Fact("known_lift_total", "log ratio", "the same summed over the items"),
    Fact("known_type_lift", "log ratio", "as known_lift, for the types"),
    Fact("type_share_lift", "log ratio", "mean log of her share of the type over everybody's"),
    Fact("type_share_lift_total", "log ratio", "the same summed over the items"),
    Fact("taste_lift", "score", "mean of how near the items lie to her taste for their popularity"),
    Fact("taste_lift_least", "score", "the least of those"),
    Fact("taste_lift_best", "score", "the greatest of those"),
    Fact("hour_lift", "log ratio", "mean of how much oftener the items are bought at this time of day"),
    Fact("type_hour_lift", "log ratio", "the same by types"),
    Fact("weekday_lift", "log ratio", "mean of how much oftener the items are bought on this weekday"),
    Fact("type_weekday_lift", "log ratio", "the same by types"),
    Fact("store_lift", "log ratio", "mean of how much oftener the items are bought in this store"),
    Fact("lines_difference", "log lines", "mean size of baskets with the items less that of hers"),
)
"""One row a basket: trip_choice."""

VOUCHER_EVIDENCE: tuple[Fact, ...] = (
    Fact("voucher_items", "log count", "log of the items that the campaign's vouchers cover"),
    Fact("campaign_days", "days", "days until the campaign ends"),
    Fact("campaign_rate", "share", "share of past offers of this campaign type that were redeemed"),
    Fact("voucher_known", "items", "covered items that she bought in the last 53 weeks"),
    Fact("voucher_days", "days", "shopping days with a covered item"),
    Fact("voucher_since", "days", "days since she last bought a covered item"),
    Fact("voucher_share", "share", "share of her shopping days with a covered item"),
    Fact("voucher_share_month", "share", "the same, a day's weight halving every 4 weeks"),
    Fact("voucher_share_quarter", "share", "the same, a day's weight halving every 13 weeks"),
    Fact("voucher_lines", "lines", "her purchases of covered items"),
    Fact("voucher_of_lines", "share", "share of her purchases that are of covered items"),
    Fact("voucher_types", "share", "share of her purchases whose type has a covered item"),
    Fact("coupon_lines", "lines", "her purchases with a coupon"),
    Fact("coupon_days", "days", "shopping days with a coupon"),
    Fact("coupon_since", "days", "days since she last used a coupon"),
    Fact("coupon_share", "share", "share of her shopping days with a coupon"),
    Fact("coupon_share_quarter", "share", "the same, a day's weight halving every 13 weeks"),
    Fact("coupon_saved", "share", "coupon discounts over spend"),
    Fact("discount_share", "share", "discounts over spend before discounts"),
    Fact("deal_share", "share", "share of her purchases on a deal"),
    Fact("trips", "days", "her shopping days in the last 53 weeks"),
    Fact("trips_month", "days", "her shopping days in the last 4 weeks"),
    Fact("trip_since", "days", "days since she last shopped"),
    Fact("trip_interval", "days", "mean days between shopping days in the last 13 weeks"),
    Fact("basket_lines", "lines", "mean lines a receipt"),
    Fact("basket_spend", "money", "mean spend a receipt, in minor units"),
    Fact("spend_month", "money", "spend of the last 4 weeks, in minor units"),
    Fact("private_share", "share", "share of her purchases that are own-brand"),
    Fact("variety", "share", "different items over purchases"),
    Fact("tenure", "days", "days since she was first seen, at most 371"),
    Fact("voucher_coupon_lines", "lines", "her purchases of covered items with a coupon"),
    Fact("voucher_type_coupon_lines", "lines", "her purchases with a coupon whose type has a covered item"),
    Fact("coupon_lines_quarter", "lines", "her purchases with a coupon in the last 13 weeks"),
    Fact("voucher_type_items", "items", "different items she bought whose type has a covered item"),
    Fact("voucher_days_best", "days", "days on which she bought the covered item that she buys most"),
    Fact("voucher_due", "ratio", "days since a covered item over her mean days between"),
    Fact("voucher_deal_share", "share", "share of her purchases of covered items that were on a deal"),
    Fact("voucher_types_bought", "types", "different types with a covered item that she bought"),
)
"""One row: voucher_redemption."""

EVIDENCE: dict[str, tuple[Fact, ...]] = {
    "purchase": ITEM_EVIDENCE,
    "promotion_response": ITEM_EVIDENCE,
    "basket_completion": ITEM_EVIDENCE,
    "trip_choice": BASKET_EVIDENCE,
    "voucher_redemption": VOUCHER_EVIDENCE,
}
EVIDENCE_NAMES: dict[str, tuple[str, ...]] = {
    kind: tuple(fact.name for fact in facts) for kind, facts in EVIDENCE.items()
}
