"""Families of evidence: the question kinds that read the same numbers, and how a prompt writes these."""

from dataclasses import dataclass

from twin_store.evidence import EVIDENCE, Fact
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts.labels import BASKET_LABELS, ITEM_LABELS, VOUCHER_LABELS
from twin_store.prompts.usefulness import BASKET_USEFULNESS, ITEM_USEFULNESS, VOUCHER_USEFULNESS


@dataclass(frozen=True)
class Family:
    """Numbers that several kinds of questions read alike.

    Attributes:
        facts: in the order of the columns, which is that of the lines.
        labels: what each is called, by name.
        usefulness: their names, the most telling first.
        of_all_options: names of those that are the same for every option of a question.
    """

    name: str
    facts: tuple[Fact, ...]
    labels: dict[str, str]
    usefulness: tuple[str, ...]
    of_all_options: frozenset[str]


_HOUSEHOLD = frozenset(
    (
        "trips",
        "trips_month",
        "trip_since",
        "trip_interval",
        "trip_due",
        "basket_lines",
        "basket_spend",
        "tenure",
    )
) | {
    "variety",
    "deal_share",
    "coupon_share",
    "private_share",
    "discount_share",
    "day_lines",
    "day_lines_last",
}

ITEM = Family(
    "item",
    EVIDENCE["purchase"],
    ITEM_LABELS,
    ITEM_USEFULNESS,
    _HOUSEHOLD | {"hour_share", "weekday_share", "store_share", "store_lines", "basket_size"},
)
BASKET = Family(
    "basket",
    EVIDENCE["trip_choice"],
    BASKET_LABELS,
    BASKET_USEFULNESS,
    frozenset({"trips", "trip_since", "variety"}),
)
VOUCHER = Family("voucher", EVIDENCE["voucher_redemption"], VOUCHER_LABELS, VOUCHER_USEFULNESS, frozenset())
FAMILIES: dict[str, Family] = {family.name: family for family in (ITEM, BASKET, VOUCHER)}
FAMILY_OF: dict[QuestionKind, Family] = {
    "purchase": ITEM,
    "promotion_response": ITEM,
    "basket_completion": ITEM,
    "trip_choice": BASKET,
    "voucher_redemption": VOUCHER,
}
"""Kinds without evidence are not in it."""
