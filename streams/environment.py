"""E of B = f(P, E): what surrounds a customer when a question is put. One thread fills it, another asks it.

Everything is asked as of a moment: promotions that hold then, and a product's sales of the completed weeks
before it. Quoted prices are those of price cuts; what a product usually costs is for the evidence to say.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np

from streams.promotions import DISPLAY, MAILER, PRICE_CUT, Campaign, Numbering, Promotions, Shelf
from twin_store.messages import CatalogItem, ProductContext, ProductStatistics, Promotion
from twin_store.messages.codec import SECONDS_PER_DAY, week_of_day

POPULARITY_WEEKS = 4
FAVOURITES_MAX = 20
MEMO_MAX = 50_000
KEPT_S = 14 * SECONDS_PER_DAY  # promotions are kept this long after their end, for what arrives late
NO_SECTION = -1


class Environment:
    """Promotions, campaigns and what the planner needs of products."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbering = Numbering()
        self._promotions = Promotions(self._numbering)
        self._sections: dict[str, int] = {}
        self._section_of: dict[int, int] = {}
        self._weeks: dict[int, np.ndarray] = {}
        self._released: set[str] = set()
        self._grouped: dict[tuple[int, ...], dict[int, list[int]]] = {}
        self._favourites: dict[tuple[int, tuple[int, ...]], list[str]] = {}
        self._forgotten = 0

    def put_item(self, item: CatalogItem) -> None:
        """Take in a product of the catalogue."""
        with self._lock:
            code = NO_SECTION
            if item.section is not None:
                code = self._sections.setdefault(item.section, len(self._sections))
            self._section_of[self._numbering.number(item.sku)] = code

    def remove_item(self, sku: str) -> None:
        """The catalogue no longer has this product."""
        with self._lock:
            self._section_of.pop(self._numbering.number(sku), None)

    def put_statistics(self, statistics: ProductStatistics) -> None:
        """Take in a product's sales by week."""
        rows = sorted((week.week, week.lines) for week in statistics.weeks)
        with self._lock:
            number = self._numbering.number(statistics.sku)
            self._weeks[number] = np.array(rows, dtype=np.int32).reshape(-1, 2)

    def put_promotion(self, promotion: Promotion) -> None:
        """Take in a promotion. Raises `BadMessage`."""
        with self._lock:
            self._promotions.put(promotion)
            self._forget_favourites()

    def release(self) -> None:
        """Let campaigns open: their coupons, which are published after them, are in."""
        with self._lock:
            self._released = {campaign.campaign_id for campaign in self._promotions.campaigns()}

    def forget_before(self, second: int) -> None:
        """Event time has reached `second`: drop what ended more than `KEPT_S` before it."""
        if second - KEPT_S - self._forgotten < SECONDS_PER_DAY:
            return
        self._forgotten = second - KEPT_S
        with self._lock:
            self._promotions.forget_before(self._forgotten)
            self._forget_favourites()

    def context(self, skus: Sequence[str], store_id: str | None, at: int) -> list[ProductContext]:
        """What holds for each of these products in a store at a moment."""
        with self._lock:
            numbers = self._numbering.known(skus)
            on = {kind: np.zeros(len(skus), dtype=bool) for kind in (DISPLAY, MAILER)}
            prices: list[str | None] = [None] * len(skus)
            for shelf in self._promotions.active(store_id, at):
                places = shelf.places(numbers)
                if shelf.kind == PRICE_CUT:
                    _quote(prices, shelf, places)
                else:
                    on[shelf.kind] |= places >= 0
        return [
            ProductContext(sku=sku, price=prices[i], display=bool(on[DISPLAY][i]), mailer=bool(on[MAILER][i]))
            for i, sku in enumerate(skus)
        ]

    def promoted(self, skus: Sequence[str], store_id: str | None, at: int) -> list[str]:
        """Those of these products that are on display, in a mailer or cut in price in a store at a moment."""
        with self._lock:
            numbers = self._numbering.known(skus)
            found = np.zeros(len(skus), dtype=bool)
            for shelf in self._promotions.active(store_id, at):
                found |= shelf.places(numbers) >= 0
        return [sku for sku, promoted in zip(skus, found.tolist(), strict=True) if promoted]

    def favourites(self, section: str, store_id: str | None, at: int) -> list[str]:
        """Promoted products of a section, the best sold first; at most `FAVOURITES_MAX`."""
        with self._lock:
            shelves = self._promotions.active(store_id, at)
            if section not in self._sections or not shelves:
                return []
            return self._favourites_of(self._sections[section], shelves, at)

    def campaign(self, campaign_id: str) -> Campaign | None:
        """A campaign by its id."""
        with self._lock:
            return self._promotions.campaign(campaign_id)

    def open_campaigns(self, at: int, customer_id: str | None = None) -> list[Campaign]:
        """The released campaigns that run at a moment; for a customer, those whose audience names her."""
        with self._lock:
            if customer_id is None:
                found: Iterable[Campaign | None] = self._promotions.campaigns()
            else:
                found = [
                    self._promotions.campaign(each) for each in self._promotions.campaigns_of(customer_id)
                ]
            return [
                campaign
                for campaign in found
                if campaign is not None
                and campaign.campaign_id in self._released
                and campaign.starts <= at < campaign.ends
            ]

    def __len__(self) -> int:
        return len(self._promotions)

    def _favourites_of(self, section: int, shelves: list[Shelf], at: int) -> list[str]:
        # Shelves are known by identity: one that is replaced or forgotten clears these memos before it goes.
        together = tuple(id(shelf) for shelf in shelves)
        found = self._favourites.get((section, together))
        if found is None:
            if len(self._favourites) >= MEMO_MAX:
                self._forget_favourites()
            if together not in self._grouped:
                self._grouped[together] = self._group(shelves)
            week = week_of_day(at // SECONDS_PER_DAY)
            ranked = sorted(
                (-self._popularity(number, week), self._numbering.skus[number])
                for number in self._grouped[together].get(section, ())
            )
            found = self._favourites[section, together] = [sku for _, sku in ranked[:FAVOURITES_MAX]]
        return found

    def _group(self, shelves: list[Shelf]) -> dict[int, list[int]]:
        """The products of these shelves by section."""
        grouped: dict[int, list[int]] = {}
        for number in np.unique(np.concatenate([shelf.numbers for shelf in shelves])).tolist():
            grouped.setdefault(self._section_of.get(number, NO_SECTION), []).append(number)
        return grouped

    def _forget_favourites(self) -> None:
        self._grouped.clear()
        self._favourites.clear()

    def _popularity(self, number: int, week: int) -> int:
        """Lines sold in the completed weeks before `week`."""
        weeks = self._weeks.get(number)
        if weeks is None:
            return 0
        recent = (weeks[:, 0] < week) & (weeks[:, 0] >= week - POPULARITY_WEEKS)
        return int(weeks[recent, 1].sum())


def _quote(prices: list[str | None], shelf: Shelf, places: np.ndarray) -> None:
    for i, place in enumerate(places.tolist()):
        if place >= 0 and shelf.prices[place] is not None:
            prices[i] = shelf.prices[place]
