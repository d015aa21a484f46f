"""Matched cases: what was bought against what only the customer can tell from it. Asked the moment before a trip.

What is set against it is as popular over a long and a short window, known to the store alike, and never from
the same basket; no price of the trip itself is used.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from trainer.tasks.cases import Case
from trainer.tasks.shop import Shop
from twin_store.messages.codec import SECONDS_PER_DAY
from twin_store.messages.decisions import Environment, QuestionKind, Subject

POSITIVES_MAX = 3  # of one trip: more would be one customer's evidence again
OPTIONS = 5
COMPLETION_ITEMS_MIN = 4
CHOICE_ITEMS_MIN = 3
CHOICE_SIZE_RATIO = 1.5  # a decoy basket has at most this many times the items, or as many times fewer
REPERTOIRE_DAYS = 182
Pool = Literal["section", "anywhere", "hers", "elsewhere"]
# Where what she did not buy comes from: the product's section, the whole shop, or what she bought before.
POOLS: tuple[Pool, ...] = ("section", "anywhere", "hers")
WEEK_SECONDS = 7 * SECONDS_PER_DAY


def purchases(
    shop: Shop, start: int, end: int, count: int, seed: int, pool: Pool | None = None
) -> Iterator[Case]:
    """About `count` candidates, half of them bought.

    Of the others a third comes from the same section, a third from anywhere, and a third is what she
    bought before and not this time; or all come from one `pool`.
    """
    generator = np.random.default_rng([seed, 1])

    def wrong(shop: Shop, trip: int, item: int, banned: np.ndarray, dice: np.random.Generator) -> int | None:
        drawn = POOLS[dice.integers(len(POOLS))] if pool is None else pool
        return _wrong_of(drawn, shop, trip, item, banned, dice)

    for trip in shop.trips_between(start, end, generator):
        pairs = _pair_up(shop, trip, shop.trips.basket(trip), wrong, generator)
        if pairs:
            yield _paired_case(shop, "purchase", trip, pairs, generator)
            count -= 2 * len(pairs)
        if count <= 0:
            return


def promotions(shop: Shop, start: int, end: int, count: int, seed: int) -> Iterator[Case]:
    """About `count` candidates on display or in the mailer of the store, half of them bought.

    Of the others half comes from the same section, half from anywhere; all are promoted in the same way.
    """
    generator = np.random.default_rng([seed, 2])
    for trip in shop.trips_between(start, end, generator):
        basket = shop.trips.basket(trip)
        chosen = basket[shop.promoted(trip, basket).any(axis=1)]
        pairs = _pair_up(shop, trip, chosen, _promoted_wrong, generator)
        if pairs:
            yield _paired_case(shop, "promotion_response", trip, pairs, generator)
            count -= 2 * len(pairs)
        if count <= 0:
            return


def completions(shop: Shop, start: int, end: int, count: int, seed: int) -> Iterator[Case]:
    """`count` times a part of a basket, one of its other products, and four that were not in it."""
    generator = np.random.default_rng([seed, 3])
    for trip in shop.trips_between(start, end, generator):
        basket = generator.permutation(shop.trips.basket(trip))
        if len(basket) < COMPLETION_ITEMS_MIN:
            continue
        truth = int(basket[-1])
        wrong = _wrong_options(shop, trip, truth, generator)
        if len(wrong) < OPTIONS - 1:
            continue
        options = generator.permutation([truth, *wrong])
        part = basket[: generator.integers(1, len(basket))]
        subject = Subject(candidates=shop.skus(options), partial_basket=shop.skus(part))
        yield _case(shop, "basket_completion", trip, options, options == truth, subject)
        count -= 1
        if count <= 0:
            return


def choices(shop: Shop, start: int, end: int, count: int, seed: int) -> Iterator[Case]:
    """`count` times a basket and one of about its size that another bought in the same store and week."""
    generator = np.random.default_rng([seed, 4])
    beside: dict[tuple[int, int], list[int]] = {}
    for trip in shop.trips.between(start, end).tolist():
        beside.setdefault(_place(shop, trip), []).append(trip)
    for trip in shop.trips_between(start, end, generator):
        decoy = _decoy(shop, trip, np.array(beside[_place(shop, trip)]), generator)
        if decoy is None:
            continue
        pair = generator.permutation([trip, decoy])
        subject = Subject(baskets=[shop.skus(shop.trips.basket(other)) for other in pair.tolist()])
        yield _case(shop, "trip_choice", trip, np.zeros(0, dtype=np.int64), pair == trip, subject)
        count -= 1
        if count <= 0:
            return


_Wrong = Callable[[Shop, int, int, np.ndarray, np.random.Generator], int | None]


def _pair_up(
    shop: Shop, trip: int, bought: np.ndarray, wrong_for: _Wrong, generator: np.random.Generator
) -> list[tuple[int, int]]:
    """Some of what was bought, each with something wrong."""
    week = shop.assortment.before(shop.second(trip))
    pairs: list[tuple[int, int]] = []
    banned = shop.trips.basket(trip)
    for item in generator.permutation(bought).tolist():
        if week.long[item] <= 0:
            continue  # nobody had bought it of late, so nothing is known to be as popular
        wrong = wrong_for(shop, trip, item, banned, generator)
        if wrong is not None:
            pairs.append((item, wrong))
            banned = np.append(banned, wrong)
        if len(pairs) == POSITIVES_MAX:
            break
    return pairs


def _wrong_of(
    pool: Pool, shop: Shop, trip: int, item: int, banned: np.ndarray, generator: np.random.Generator
) -> int | None:
    week = shop.assortment.before(shop.second(trip))
    section = int(shop.assortment.sections[item])
    if pool == "section":
        products = week.of_section.get(section, week.on_sale)
    elif pool == "anywhere":
        products = week.on_sale
    elif pool == "elsewhere":
        products = week.on_sale[shop.assortment.sections[week.on_sale] != section]
    else:
        products = shop.trips.repertoire(trip, REPERTOIRE_DAYS)
        products = products[np.argsort(week.long[products], kind="stable")]
    return shop.alike(trip, item, products, banned, generator)


def _promoted_wrong(
    shop: Shop, trip: int, item: int, banned: np.ndarray, generator: np.random.Generator
) -> int | None:
    week = shop.assortment.before(shop.second(trip))
    pool = week.on_sale
    if generator.random() < 0.5:
        pool = week.of_section.get(int(shop.assortment.sections[item]), pool)
    return shop.alike(trip, item, pool, banned, generator, same_promotion=True)


def _wrong_options(shop: Shop, trip: int, truth: int, generator: np.random.Generator) -> list[int]:
    """Up to four products alike `truth`, every other one of its section where there is one."""
    week = shop.assortment.before(shop.second(trip))
    if week.long[truth] <= 0:
        return []
    section = week.of_section.get(int(shop.assortment.sections[truth]), week.on_sale)
    banned = shop.trips.basket(trip)
    wrong: list[int] = []
    for place in range(OPTIONS - 1):
        found = shop.alike(trip, truth, section if place % 2 else week.on_sale, banned, generator)
        if found is None:
            found = shop.alike(trip, truth, week.on_sale, banned, generator)
        if found is None:
            break
        wrong.append(found)
        banned = np.append(banned, found)
    return wrong


def _decoy(shop: Shop, trip: int, beside: np.ndarray, generator: np.random.Generator) -> int | None:
    size = len(shop.trips.basket(trip))
    if size < CHOICE_ITEMS_MIN:
        return None
    sizes = shop.trips.starts[beside + 1] - shop.trips.starts[beside]
    fits = (sizes >= max(CHOICE_ITEMS_MIN, size / CHOICE_SIZE_RATIO)) & (sizes <= size * CHOICE_SIZE_RATIO)
    fits &= shop.trips.customers[beside] != shop.trips.customers[trip]
    return int(generator.choice(beside[fits])) if fits.any() else None


def _place(shop: Shop, trip: int) -> tuple[int, int]:
    return int(shop.trips.stores[trip]), shop.second(trip) // WEEK_SECONDS


def _paired_case(
    shop: Shop, kind: QuestionKind, trip: int, pairs: list[tuple[int, int]], generator: np.random.Generator
) -> Case:
    order = generator.permutation(2 * len(pairs))
    options = np.array(pairs).reshape(-1)[order]
    return _case(shop, kind, trip, options, order % 2 == 0, Subject(candidates=shop.skus(options)))


def _case(
    shop: Shop, kind: QuestionKind, trip: int, options: np.ndarray, labels: np.ndarray, subject: Subject
) -> Case:
    return Case(
        kind,
        shop.customer(trip),
        shop.second(trip) - 1,
        subject,
        Environment(store_id=shop.store(trip), context=shop.context(trip, options)),
        tuple(labels.astype(int).tolist()),
        (1.0,) * len(labels),
        True,
    )
