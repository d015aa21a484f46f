"""What is published of products is what the receipts say, in any order, through repeats, returns and crashes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from streams.settings import Settings
from streams.topics import PRODUCTS, TRANSACTIONS
from tests.product_oracle import Product, products_of, published
from tests.streams.updater.deployment import Deployment
from tests.streams.updater.messages import sale, taken_back
from twin_store.messages import Transaction

USUAL = ("milk", "bread", "tea", "rum")
DAYS = 70  # ten weeks: none has left the published ones


def line(choose: random.Random) -> dict[str, Any]:
    """A line of any price, some on a deal, some weighed, some that say nothing of what they cost."""
    body: dict[str, Any] = {"sku": choose.choice((*USUAL, f"rare {choose.randint(1, 60)}"))}
    body["quantity"] = choose.choice((1.0, 1.0, 2.0, 3.0, 0.125))
    body["net"] = f"{choose.randint(1, 900) / 100:.2f}" if choose.random() < 0.9 else None
    if choose.random() < 0.3:
        body["discount"] = f"{choose.randint(1, 99) / 100:.2f}"
    if choose.random() < 0.1:
        body["promotion_ids"] = ["p1"]
    return body


def happen(choose: random.Random, count: int = 120) -> list[Transaction]:
    """Receipts in order of arrival: up to a week late, returned in part or whole, voided, some twice."""
    arrivals: list[tuple[float, Transaction]] = []
    for number in range(count):
        day, name = choose.randrange(DAYS), choose.choice(("ann", "bob", "eve"))
        lines = [line(choose) for _ in range(choose.randint(1, 4))]
        receipt = sale(day, lines, name, choose.choice(("s1", "s2", None)), f"t{number}")
        sent = [(day, receipt)]
        if choose.random() < 0.4:
            later = day + choose.randint(0, 20)
            back = taken_back(receipt, later, choose.choice(("return", "return", "void")))
            sent.append((later - choose.randint(0, 3), back))
        for at, message in sent:
            arrivals += [(at + choose.random() * 6, message)] * choose.choice((1, 1, 1, 2))
    return [message for _, message in sorted(arrivals, key=lambda arrival: arrival[0])]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("faults", [False, True], ids=["calm", "faults"])
def test_products_are_what_the_receipts_say(offline_settings: Settings, seed: int, faults: bool) -> None:
    choose = random.Random(seed)
    shop = Deployment(offline_settings.model_copy(update={"partitions": choose.choice((1, 2, 5))}), seed)
    receipts = happen(choose)
    for number, receipt in enumerate(receipts):
        shop.publish(TRANSACTIONS, receipt.customer_id, receipt)
        if number % 10 == 0:
            shop.drain_through_faults() if faults else shop.drain()
    shop.drain_through_faults() if faults else shop.drain()
    truth = {sku: product.published() for sku, product in products_of(r.to_wire() for r in receipts).items()}
    found = {sku: published(message) for sku, message in shop.newest(PRODUCTS).items()}
    # A product may be published of which all was taken back, and then it says so.
    taken_back_whole = {sku: Product().published() for sku in set(found) - set(truth)}
    assert found == truth | taken_back_whole
    assert set(USUAL) < set(truth)
    assert any(deals for product in found.values() for _, _, _, deals in product["weeks"].values())
