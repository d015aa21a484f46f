"""Which numbers of the evidence tell the most, first to last: what is left when a prompt is too long.

Measured on 250 customers of the Complete Journey, training until 2017-10-01: for items the mean share of gain in the
boosted trees of purchase (matched and shop floor) and basket completion, for baskets that of trip choice, for
vouchers the size of the logistic coefficients. That data set has no clicks, and displays and mailers were left out:
these four of the item's numbers are placed by judgement.
"""

ITEM_USEFULNESS: tuple[str, ...] = (
    "item_share_quarter", "item_share", "item_share_month", "store_lists", "item_trips_due", "item_due",
    "item_days", "type_rebuy_rate", "item_interval", "popularity_8", "price", "history_type_affinity",
    "taste", "item_trips_since", "product_buyers", "item_last_interval", "variety", "item_of_type",
    "rebuy_days", "popularity_4", "display", "mailer", "item_carts", "item_views", "basket_has_type",
    "type_taste", "item_of_section", "growth", "rebuy_rate", "item_spread", "store_share", "item_since",
    "price_to_type_paid", "history_affinity", "item_price_to_least_paid", "type_share_month",
    "basket_affinity_best", "item_units", "popularity_1", "popularity_2", "item_price_to_last_paid",
    "type_share", "price_to_usual", "brand_share", "type_share_quarter", "trip_interval",
    "brand_of_section", "basket_type_lift_best", "basket_spend", "basket_type_lift", "type_due",
    "weeks_sold", "type_rebuy_due", "basket_lines", "section_due", "item_price_to_mean_paid", "type_days",
    "deal_share", "trips", "tenure", "type_trips_since", "product_deal_share", "section_share_quarter",
    "section_spread", "type_last_interval", "type_interval", "rebuy_due", "discount_share",
    "basket_affinity", "weekday_share", "hour_share", "section_share_month", "section_interval",
    "private_share", "section_share", "section_since", "type_since", "item_is_last_of_type",
    "section_trips_due", "type_trips_due", "section_last_interval", "item_deal_share", "coupon_share",
    "type_hour_lift", "taste_lift", "item_lines", "type_of_section", "product_lines", "hour_lift",
    "type_lines", "trial_share", "type_weekday_lift", "store_type_lift", "store_lines", "product_of_type",
    "type_product_lines", "type_other_since", "day_lines", "product_reach", "store_lift", "type_reach",
    "type_baskets", "weekday_lift", "day_lines_last", "section_lines", "type_trial_share",
    "trip_due", "type_spread", "section_deal_share", "private_of_section", "section_days",
    "basket_has_section", "type_deal_share", "product_deal_share_last", "basket_size", "trips_month",
    "section_trips_since", "type_kinds", "own_brand", "trip_since",
)  # fmt: skip

BASKET_USEFULNESS: tuple[str, ...] = (
    "surprise_item", "known_share", "store_lists", "surprise_total", "item_share_month", "popularity",
    "known_types", "item_share", "known_items", "variety", "history_type_affinity", "size_ratio",
    "known_sections", "type_taste", "spend_ratio", "private_difference", "taste", "surprise_type",
    "trips", "item_share_best", "surprise_section", "type_due", "brand_share", "price_to_type_paid",
    "known_lift", "known_lift_total", "type_share_lift", "type_share_lift_total", "known_type_lift", "taste_lift",
    "taste_lift_least", "taste_lift_best", "type_hour_lift", "hour_lift", "type_weekday_lift", "weekday_lift",
    "store_lift", "lines_difference",
    "item_since", "deal_difference", "trip_since", "history_affinity", "item_since_least", "items",
    "item_due",
)  # fmt: skip

VOUCHER_USEFULNESS: tuple[str, ...] = (
    "tenure", "voucher_types", "coupon_days", "trip_interval", "coupon_lines", "basket_lines",
    "voucher_lines", "basket_spend", "coupon_since", "spend_month", "voucher_known", "voucher_items",
    "voucher_since", "coupon_saved", "voucher_days", "trips_month", "campaign_rate", "private_share",
    "campaign_days", "trip_since", "coupon_share", "coupon_share_quarter", "deal_share", "variety",
    "voucher_coupon_lines", "voucher_type_coupon_lines", "voucher_types_bought", "voucher_type_items",
    "coupon_lines_quarter", "voucher_days_best", "voucher_due", "voucher_deal_share",
    "voucher_share_month", "trips", "voucher_of_lines", "voucher_share_quarter", "discount_share",
    "voucher_share",
)  # fmt: skip
