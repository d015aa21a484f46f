"""A small town's receipts, made up but regular: what the trainer must find in them is known.

Everybody has a few favourites, bought every so many days; the rest is chance. Shops, weeks of mailers, and campaigns
whose vouchers are mostly redeemed by those who like what they cover.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from tests.twin_store.lake.feed import Feed, new_writer
from twin_store.lake import Lake
from twin_store.messages import CatalogItem, Promotion, Transaction
from twin_store.messages.base import Message
from twin_store.messages.events import PromotedItem

OPENING = datetime(2024, 1, 1, tzinfo=UTC)
SECTIONS = ("DAIRY", "BAKERY", "PRODUCE", "CLEANING", "SNACKS", "DRINKS")
ITEMS_A_SECTION = 8
SHOPS = ("north", "south")
CAMPAIGN_EVERY_DAYS = 28


def sku(section: int, number: int) -> str:
    """The sku of a section's item."""
    return f"{SECTIONS[section].lower()}-{number}"


ALL_SKUS = [sku(section, number) for section in range(len(SECTIONS)) for number in range(ITEMS_A_SECTION)]


@dataclass(frozen=True)
class Town:
    """How large, how long, and which chance."""

    customers: int = 60
    days: int = 200
    seed: int = 5

    def messages(self) -> list[tuple[str, str, Message]]:
        """(table, key, message), catalogue first, then in order of time."""
        generator = np.random.default_rng(self.seed)
        catalogue = [("catalog", item.sku, item) for item in _catalogue()]
        mailers = [("promotions", p.promotion_id, p) for p in self._mailers()]
        campaigns = [("promotions", p.promotion_id, p) for p in self._campaigns()]
        receipts = [("transactions", r.customer_id, r) for r in self._receipts(generator)]
        return [*catalogue, *mailers, *campaigns, *receipts]

    def fill(self, url: str) -> Lake:
        """A lake of all that, written as the lake's own process does."""
        feed = Feed()
        for table, key, message in self.messages():
            feed.publish(table, key, message.to_wire())
        feed.drain(new_writer(url))
        return Lake(url)

    def _receipts(self, generator: np.random.Generator) -> list[Transaction]:
        found = []
        for customer in range(self.customers):
            likes = generator.choice(len(SECTIONS), 2, replace=False)
            favourites = {
                sku(int(s), int(n)): int(generator.integers(6, 25))
                for s in likes
                for n in generator.choice(ITEMS_A_SECTION, 3, replace=False)
            }
            last = {item: -int(generator.integers(0, every)) for item, every in favourites.items()}
            day = int(generator.integers(0, 5))
            while day < self.days:
                due = [item for item, every in favourites.items() if day - last[item] >= every]
                last |= dict.fromkeys(due, day)
                basket = {*due, *generator.choice(ALL_SKUS, int(generator.integers(1, 4))).tolist()}
                found.append(self._receipt(customer, day, sorted(basket), set(likes.tolist())))
                day += int(generator.integers(2, 7))
        return sorted(found, key=lambda receipt: receipt.occurred_at)

    def _receipt(self, customer: int, day: int, basket: list[str], likes: set[int]) -> Transaction:
        campaign = day // CAMPAIGN_EVERY_DAYS
        covered = SECTIONS[campaign % len(SECTIONS)].lower()
        takes = campaign % len(SECTIONS) in likes
        lines = [
            {
                "sku": item,
                "quantity": 1.0,
                "unit_price": f"{1 + index % 5}.50",
                "net": f"{1 + index % 5}.25",
                "discount": "0.25",
                "coupon_ids": [f"coupon-{campaign}"] if takes and item.startswith(covered) else [],
            }
            for index, item in enumerate(basket)
        ]
        return Transaction.model_validate(
            {
                "transaction_id": f"{customer}-{day}",
                "customer_id": f"customer-{customer}",
                "occurred_at": OPENING + timedelta(days=day, hours=9 + customer % 10, minutes=customer),
                "store_id": SHOPS[customer % len(SHOPS)],
                "currency": "USD",
                "lines": lines,
            }
        )

    def _mailers(self) -> list[Promotion]:
        found = []
        for week in range(self.days // 7 + 1):
            starts = OPENING + timedelta(weeks=week)
            section = week % len(SECTIONS)
            items = [PromotedItem(sku=sku(section, number)) for number in range(ITEMS_A_SECTION)]
            found += [
                Promotion(
                    promotion_id=f"mailer-{shop}-{week}",
                    kind="mailer",
                    starts_at=starts,
                    ends_at=starts + timedelta(weeks=1),
                    store_id=shop,
                    items=items,
                )
                for shop in SHOPS
            ]
        return found

    def _campaigns(self) -> list[Promotion]:
        found = []
        for number in range(self.days // CAMPAIGN_EVERY_DAYS):
            starts = OPENING + timedelta(days=number * CAMPAIGN_EVERY_DAYS)
            section = number % len(SECTIONS)
            runs = {
                "starts_at": starts,
                "ends_at": starts + timedelta(days=CAMPAIGN_EVERY_DAYS),
                "campaign_id": f"campaign-{number}",
            }
            found.append(
                Promotion(
                    promotion_id=f"campaign-{number}",
                    kind="campaign",
                    campaign_type="A" if number % 2 else "B",
                    audience=[f"customer-{c}" for c in range(self.customers)],
                    **runs,
                )
            )
            items = [PromotedItem(sku=sku(section, n)) for n in range(ITEMS_A_SECTION)]
            found.append(Promotion(promotion_id=f"coupon-{number}", kind="coupon", items=items, **runs))
        return found


def _catalogue() -> list[CatalogItem]:
    return [
        CatalogItem(
            sku=sku(section, number),
            updated_at=OPENING,
            name=sku(section, number).upper(),
            section=name,
            item_type=f"{name} {number // 2}",
            brand=f"brand-{number % 3}",
            private_label=number % 3 == 0,
        )
        for section, name in enumerate(SECTIONS)
        for number in range(ITEMS_A_SECTION)
    ]
