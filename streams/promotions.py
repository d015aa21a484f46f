"""What is promoted where and when: shelves (displays, mailers, price cuts) by store, and campaigns with vouchers.

A year of a hundred stores holds tens of millions of promoted items, so a shelf is one sorted array of product
numbers, 4 bytes an item, and shelves that are over are forgotten. Not thread-safe; `environment` holds the lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from twin_store.messages import Promotion, Subject
from twin_store.messages.codec import BadMessage, epoch_seconds, instant_of

EVERYWHERE = None  # the store of what holds in all stores
DISPLAY, MAILER, PRICE_CUT = "display", "mailer", "price_cut"


def check(promotion: Promotion) -> None:
    """What its schema cannot say of a promotion.

    Raises:
        BadMessage: it ends before it starts, or is a coupon of no campaign.
    """
    if promotion.ends_at <= promotion.starts_at:
        raise BadMessage("ends_at must be after starts_at", "ends_at")
    if promotion.kind == "coupon" and promotion.campaign_id is None:
        raise BadMessage("a coupon must name its campaign", "campaign_id")


class Numbering:
    """Products as small consecutive numbers, in order of first mention."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.skus: list[str] = []

    def number(self, sku: str) -> int:
        """The sku's number, a new one if it has none."""
        number = self._numbers.get(sku)
        if number is None:
            number = self._numbers[sku] = len(self.skus)
            self.skus.append(sku)
        return number

    def known(self, skus: Iterable[str]) -> np.ndarray:
        """int64 [n]; -1 where the sku has no number."""
        return np.array([self._numbers.get(sku, -1) for sku in skus], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Shelf:
    """One display, mailer or price cut.

    Attributes:
        starts, ends: epoch seconds; it holds from `starts` up to, not including, `ends`.
        numbers: uint32, ascending; the products on it.
        prices: one a number, None where not given; only of price cuts.
    """

    kind: str
    store: str | None
    starts: int
    ends: int
    numbers: np.ndarray
    prices: tuple[str | None, ...] = ()

    def places(self, numbers: np.ndarray) -> np.ndarray:
        """For each number its place on the shelf, -1 where it is not there: int64 [n]."""
        if not len(self.numbers):
            return np.full(len(numbers), -1)
        places = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        return np.where(self.numbers[places] == numbers, places, -1)


@dataclass(frozen=True, eq=False)
class Campaign:
    """A campaign as it stands; `vouchers` are the products that its coupons cover, each once."""

    campaign_id: str
    campaign_type: str | None
    starts: int
    ends: int
    audience: tuple[str, ...]
    vouchers: tuple[str, ...] = field(repr=False)

    @cached_property
    def subject(self) -> Subject:
        """What a voucher question about it is about; one object for the whole audience."""
        return Subject(
            campaign_id=self.campaign_id,
            campaign_type=self.campaign_type,
            voucher_skus=list(self.vouchers),
            ends_at=instant_of(self.ends),
        )


class Promotions:
    """All promotions that are not over. A promotion that comes again replaces the one of the same id."""

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._shelves: dict[str | None, dict[str, Shelf]] = defaultdict(dict)
        self._stores: dict[str, str | None] = {}
        self._announced: dict[str, Promotion] = {}
        self._coupons: dict[str, dict[str, tuple[int, np.ndarray]]] = defaultdict(dict)
        self._campaigns: dict[str, Campaign] = {}
        self._invited: dict[str, set[str]] = defaultdict(set)

    def put(self, promotion: Promotion) -> None:
        """Take in one promotion.

        Raises:
            BadMessage: it ends before it starts, or is a coupon of no campaign.
        """
        check(promotion)
        match promotion.kind:
            case "campaign":
                self._put_campaign(promotion)
            case "coupon":
                campaign_id = str(promotion.campaign_id)
                coupons = self._coupons[campaign_id]
                coupons[promotion.promotion_id] = epoch_seconds(promotion.ends_at), self._numbers(promotion)
                self._campaigns.pop(campaign_id, None)
            case _:
                self._put_shelf(promotion)

    def active(self, store_id: str | None, at: int) -> list[Shelf]:
        """The shelves that hold in a store (or, for None, everywhere) at a moment, in order of their ids."""
        found: list[tuple[str, Shelf]] = []
        for store in {EVERYWHERE, store_id}:
            for promotion_id, shelf in self._shelves.get(store, {}).items():
                if shelf.starts <= at < shelf.ends:
                    found.append((promotion_id, shelf))
        return [shelf for _, shelf in sorted(found, key=lambda pair: pair[0])]

    def campaign(self, campaign_id: str) -> Campaign | None:
        """A campaign with the vouchers known so far."""
        if campaign_id not in self._announced:
            return None
        if campaign_id not in self._campaigns:
            self._campaigns[campaign_id] = self._assemble(self._announced[campaign_id], campaign_id)
        return self._campaigns[campaign_id]

    def campaigns(self) -> Iterator[Campaign]:
        """Every campaign, in order of their ids."""
        for campaign_id in sorted(self._announced):
            campaign = self.campaign(campaign_id)
            if campaign is not None:
                yield campaign

    def campaigns_of(self, customer_id: str) -> list[str]:
        """The ids of the campaigns whose audience names this customer, in order."""
        return sorted(self._invited.get(customer_id, ()))

    def forget_before(self, second: int) -> None:
        """Drop what was over by then."""
        for shelves in self._shelves.values():
            for promotion_id in [key for key, shelf in shelves.items() if shelf.ends <= second]:
                del shelves[promotion_id]
                del self._stores[promotion_id]
        for campaign_id, campaign in list(self._announced.items()):
            if epoch_seconds(campaign.ends_at) <= second:
                self._withdraw(campaign_id)
        for campaign_id, coupons in list(self._coupons.items()):
            for promotion_id in [key for key, (ends, _) in coupons.items() if ends <= second]:
                del coupons[promotion_id]
            if not coupons:
                del self._coupons[campaign_id]

    def __len__(self) -> int:
        return len(self._stores) + len(self._announced)

    def _put_shelf(self, promotion: Promotion) -> None:
        numbers = self._numbers(promotion)
        order = np.argsort(numbers, kind="stable")
        prices: tuple[str | None, ...] = ()
        if promotion.kind == PRICE_CUT:
            prices = tuple(promotion.items[i].price for i in order.tolist())
        shelf = Shelf(
            promotion.kind,
            promotion.store_id,
            epoch_seconds(promotion.starts_at),
            epoch_seconds(promotion.ends_at),
            numbers[order],
            prices,
        )
        promotion_id = promotion.promotion_id
        if promotion_id in self._stores:
            self._shelves[self._stores[promotion_id]].pop(promotion_id)
        self._stores[promotion_id] = shelf.store
        self._shelves[shelf.store][promotion_id] = shelf

    def _put_campaign(self, promotion: Promotion) -> None:
        campaign_id = promotion.campaign_id or promotion.promotion_id
        self._withdraw(campaign_id)
        self._announced[campaign_id] = promotion
        for customer_id in promotion.audience:
            self._invited[customer_id].add(campaign_id)

    def _withdraw(self, campaign_id: str) -> None:
        self._campaigns.pop(campaign_id, None)
        announced = self._announced.pop(campaign_id, None)
        for customer_id in announced.audience if announced is not None else ():
            self._invited[customer_id].discard(campaign_id)
            if not self._invited[customer_id]:
                del self._invited[customer_id]

    def _assemble(self, announced: Promotion, campaign_id: str) -> Campaign:
        coupons = self._coupons.get(campaign_id, {})
        numbers = [numbers for _, numbers in coupons.values()]
        covered = np.unique(np.concatenate(numbers)) if numbers else ()
        skus = sorted(self._numbering.skus[number] for number in covered)
        return Campaign(
            campaign_id,
            announced.campaign_type,
            epoch_seconds(announced.starts_at),
            epoch_seconds(announced.ends_at),
            tuple(dict.fromkeys(announced.audience)),
            tuple(skus),
        )

    def _numbers(self, promotion: Promotion) -> np.ndarray:
        number = self._numbering.number
        return np.array([number(item.sku) for item in promotion.items], dtype=np.uint32)
