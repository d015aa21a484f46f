"""The families of frozen cases: what is asked, how wrong answers were drawn, and how many of each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trainer.tasks import matched
from trainer.tasks.cases import Case
from trainer.tasks.floor import floor
from trainer.tasks.shop import Shop
from trainer.tasks.vouchers import voucher_cases
from trainer.tasks.workshop import Workshop
from twin_store.messages.decisions import Environment, Subject

NEXT_BASKET = "next_basket"
BASKET_ITEMS_MIN = 3  # of a next basket: recall of one or two items is a coin's throw


@dataclass(frozen=True)
class Family:
    """One family. `labels` is about how many to draw; each case asks about several candidates."""

    name: str
    title: str
    labels: int


FAMILIES = (
    Family("purchase", "B1 purchase, hard negatives of every sort", 24_000),
    Family("purchase_section", "B2 purchase, negatives of the same section", 12_000),
    Family("purchase_cross", "B2 purchase, negatives of other sections", 12_000),
    Family("purchase_floor", "purchase on the shop floor, as asked live", 12_000),
    Family("basket_completion", "B3 basket completion, 1 of 5", 15_000),
    Family(NEXT_BASKET, "next basket, ranked", 1_500),
    Family("promotion_response", "B4 promotion against counterfactual", 16_000),
    Family("trip_choice", "D2 her trip or another's", 8_000),
    Family("voucher_redemption", "V voucher redemption", 0),
)
BY_NAME = {family.name: family for family in FAMILIES}


def draw(
    workshop: Workshop, family: Family, start: int, end: int, scale: float, seed: int
) -> list[tuple[Case, tuple[str, ...]]]:
    """Cases asked between two moments (epoch seconds), with what was bought where a case is a next basket.

    In order of time. The same seed and lake give the same cases.
    """
    shop, count = workshop.shop, max(1, int(family.labels * scale))
    if family.name == NEXT_BASKET:
        found = list(_next_baskets(shop, start, end, count, seed))
    else:
        found = [(case, ()) for case in _cases(workshop, family.name, start, end, count, seed)]
    return sorted(found, key=lambda drawn: (drawn[0].as_of, drawn[0].customer_id))


def _cases(workshop: Workshop, name: str, start: int, end: int, count: int, seed: int) -> Iterator[Case]:
    shop = workshop.shop
    match name:
        case "purchase":
            yield from matched.purchases(shop, start, end, count, seed)
        case "purchase_section":
            yield from matched.purchases(shop, start, end, count, seed, "section")
        case "purchase_cross":
            yield from matched.purchases(shop, start, end, count, seed, "elsewhere")
        case "purchase_floor":
            yield from floor(shop, "purchase", start, end, count, seed)
        case "basket_completion":
            yield from matched.completions(shop, start, end, count // matched.OPTIONS, seed)
        case "promotion_response":
            yield from matched.promotions(shop, start, end, count, seed)
        case "trip_choice":
            yield from matched.choices(shop, start, end, count // 2, seed)
        case "voucher_redemption":
            yield from (case for case in voucher_cases(workshop.history) if start <= case.as_of + 1 < end)
        case _:
            raise ValueError(f"there is no family {name!r}; known: {', '.join(BY_NAME)}")


def _next_baskets(
    shop: Shop, start: int, end: int, count: int, seed: int
) -> Iterator[tuple[Case, tuple[str, ...]]]:
    """Asked the moment before a trip: what will be in the basket?"""
    generator = np.random.default_rng([seed, 6])
    for trip in shop.trips_between(start, end, generator):
        basket = shop.trips.basket(trip)
        if len(basket) < BASKET_ITEMS_MIN or shop.trips.previous[trip] < 0:
            continue
        environment = Environment(store_id=shop.store(trip))
        yield (
            Case(
                "purchase", shop.customer(trip), shop.second(trip) - 1, Subject(), environment, (), (), False
            ),
            tuple(shop.skus(basket)),
        )
        count -= 1
        if count <= 0:
            return
