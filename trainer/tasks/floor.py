"""Cases of the shop floor: asked right after a trip about the next one, of products as a planner proposes them.

Most products are not bought, so these teach what a probability is worth live. A product of her own that was
not bought again stands for all of hers that were not; its weight says how many that is.
"""

from collections.abc import Iterator

import numpy as np

from trainer.tasks.cases import Case
from trainer.tasks.matched import REPERTOIRE_DAYS
from trainer.tasks.shop import Shop
from twin_store.messages.decisions import Environment, QuestionKind, Subject

OWN, BEST_SELLERS = 8, 4  # candidates of a case: of hers, not bought again, and of what sells best
DRAWS_PROMOTED = 60


def floor(shop: Shop, kind: QuestionKind, start: int, end: int, count: int, seed: int) -> Iterator[Case]:
    """About `count` candidates; both trips lie between `start` and `end`.

    For promotion_response only what is promoted in that store at that moment is asked about.
    """
    generator = np.random.default_rng([seed, 5, kind == "purchase"])
    for next_trip in shop.trips_between(start, end, generator):
        trip = int(shop.trips.previous[next_trip])
        if trip < 0 or shop.second(trip) < start:
            continue
        drawn = _draw(shop, kind, trip, next_trip, generator)
        if drawn is None:
            continue
        candidates, labels, weights = drawn
        yield Case(
            kind,
            shop.customer(trip),
            shop.second(trip),
            Subject(candidates=shop.skus(candidates)),
            Environment(store_id=shop.store(trip), context=shop.context(trip, candidates)),
            tuple(labels.astype(int).tolist()),
            tuple(weights.tolist()),
            False,
        )
        count -= len(candidates)
        if count <= 0:
            return


def _draw(
    shop: Shop, kind: QuestionKind, trip: int, next_trip: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Candidates, labels and weights."""
    bought = shop.trips.basket(next_trip)
    # What stands in the trip's own basket is hers by now.
    own = np.union1d(shop.trips.repertoire(trip, REPERTOIRE_DAYS), shop.trips.basket(trip))
    if kind == "promotion_response":
        own = own[shop.promoted(trip, own).any(axis=1)]
    again = own[np.isin(own, bought)]
    others = own[~np.isin(own, bought)]
    drawn = generator.permutation(others)[:OWN]
    new = _best_sellers(shop, trip, own, kind == "promotion_response", generator)
    candidates = np.concatenate((again, drawn, new))
    if not len(candidates):
        return None
    weights = np.ones(len(candidates))
    weights[len(again) : len(again) + len(drawn)] = len(others) / max(len(drawn), 1)
    return candidates, np.isin(candidates, bought), weights


def _best_sellers(
    shop: Shop, trip: int, own: np.ndarray, promoted_only: bool, generator: np.random.Generator
) -> np.ndarray:
    """Products drawn by what they sell, those of her own left out."""
    week = shop.assortment.before(shop.second(trip))
    if not len(week.on_sale):
        return week.on_sale
    # Few of all products are promoted, so more are drawn than are wanted.
    draws = DRAWS_PROMOTED if promoted_only else BEST_SELLERS
    places = np.searchsorted(week.sold, generator.random(draws) * week.sold[-1], side="right")
    drawn = week.on_sale[np.unique(np.minimum(places, len(week.on_sale) - 1))]
    drawn = generator.permutation(drawn[~np.isin(drawn, own)])
    if promoted_only:
        drawn = drawn[shop.promoted(trip, drawn).any(axis=1)]
    return np.asarray(drawn[:BEST_SELLERS])
