"""A town that is made up, for measurements in environments without the real receipts: its shelf, customers, trips."""

import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.topics import CATALOG, PROFILES, TRANSACTIONS
from streams.updater import process as updater
from twin_store.messages import CatalogItem, Transaction
from twin_store.prompts.labels import BASKET_LABELS, ITEM_LABELS, VOUCHER_LABELS
from twin_store.prompts.rendering import SYSTEM
from twin_store.segments import load_definitions

OPENING = datetime(2024, 1, 1, tzinfo=UTC)
SECTIONS = ("DAIRY", "BAKERY", "PRODUCE", "CLEANING", "SNACKS", "DRINKS", "FROZEN", "MEAT")
SHELF = [f"{section.lower()}-{number}" for section in SECTIONS for number in range(40)]
"""Every sku."""
# (days between trips, lines of a basket, share of lines on a deal): about one habit a segment
HABITS = ((30, 5, 0.2), (3, 4, 0.2), (8, 14, 0.2), (8, 5, 0.8), (7, 6, 0.3))
FOLD_WITHIN_S = 300.0


def customers(count: int) -> list[str]:
    """Their ids."""
    return [f"customer-{number}" for number in range(count)]


def publish_town(settings: Settings, people: int, days: int) -> None:
    """Put catalogue and receipts on Kafka and have an updater fold them.

    Raises:
        TimeoutError: the profiles do not come.
    """
    with Publisher(settings) as publisher:
        for item in _items():
            publisher.publish(CATALOG, item.sku.encode(), item.to_wire())
        for receipt in _receipts(people, days):
            publisher.publish(TRANSACTIONS, receipt.customer_id.encode(), receipt.to_wire())
    stop = threading.Event()
    folding = threading.Thread(target=updater.run, args=(settings, stop))
    folding.start()
    deadline = time.monotonic() + FOLD_WITHIN_S
    while len({message.key() for message in read_to_end(settings, PROFILES)}) < people:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all of {people} profiles came within {FOLD_WITHIN_S:.0f} s")
        time.sleep(1.0)
    time.sleep(2.0)  # the last batches may bring newer states of the same twins
    stop.set()
    folding.join()


def prompt_lines() -> list[str]:
    """Words of prompts and products, for a tokenizer that makes of prompts about as many tokens as a real one."""
    definitions = load_definitions()
    texts = [definitions.fallback.text, *(segment.text for segment in definitions.segments)]
    labels = [*ITEM_LABELS.values(), *BASKET_LABELS.values(), *VOUCHER_LABELS.values()]
    told = [*SYSTEM.splitlines(), *texts, *labels, *(item.name for item in _items())]
    numbers = [f"{label}: {low} to {2 * low}" for label in labels for low in (0.25, 3, 17, 140)]
    return [*told * 20, *numbers]


def _items() -> Iterator[CatalogItem]:
    for place, sku in enumerate(SHELF):
        section = SECTIONS[place // 40]
        name = f"{section.title()} product number {place % 40}"
        kind = f"{section} {place % 8}"
        yield CatalogItem(
            sku=sku, updated_at=OPENING, name=name, section=section, item_type=kind, brand=str(place % 12)
        )


def _receipts(people: int, days: int) -> list[Transaction]:
    dice = random.Random(3)
    found = []
    for number, customer in enumerate(customers(people)):
        every, lines, deals = HABITS[number % len(HABITS)]
        likes = dice.sample(SHELF, 12)
        day = dice.randrange(every)
        while day < days:
            basket = {*dice.sample(likes, min(lines, 8)), *dice.sample(SHELF, 1 + lines // 4)}
            found.append(_receipt(customer, day, sorted(basket), deals, dice))
            day += max(1, round(every * dice.uniform(0.7, 1.3)))
    return sorted(found, key=lambda receipt: receipt.occurred_at)


def _receipt(customer: str, day: int, basket: list[str], deals: float, dice: random.Random) -> Transaction:
    lines = []
    for sku in basket:
        on_deal = dice.random() < deals
        net, off = ("2.00", "0.50") if on_deal else ("2.50", "0.00")
        lines.append({"sku": sku, "quantity": 1.0, "unit_price": "2.50", "net": net, "discount": off})
    return Transaction.model_validate(
        {
            "transaction_id": f"{customer}-{day}",
            "customer_id": customer,
            "occurred_at": OPENING + timedelta(days=day, hours=dice.randrange(8, 20)),
            "store_id": f"store-{dice.randrange(4)}",
            "currency": "USD",
            "lines": lines,
        }
    )
