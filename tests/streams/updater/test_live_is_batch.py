"""Whatever happens in whatever order, through aborts and crashes: the published profiles are what the lake gives."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from streams.settings import Settings
from streams.topics import (
    CLICKSTREAM,
    CUSTOMERS,
    DEAD_LETTERS,
    ERASURE,
    LATE,
    PRODUCT_DELTAS,
    PROFILES,
    TRANSACTIONS,
    Topic,
)
from tests.streams.updater.deployment import Deployment
from tests.streams.updater.messages import customer, erasure, sale, taken_back, view
from twin_store.messages import Message as Contract

DAYS = 70
CUSTOMERS_OF_TEST = [f"c{n}" for n in range(5)]
# Each visitor becomes at most one customer; v3 and v4 stay who they are, and c4 was a card that c0 has now.
BECOMES = {"v0": "c0", "v1": "c0", "v2": "c1", "c4": "c0"}
VISITORS = [f"v{n}" for n in range(5)]
Sent = tuple[float, Topic, str, Contract | bytes]


def happen(choose: random.Random) -> list[Sent]:
    """What is published, each with the day it arrives on: some of it late, some too late, some twice, some bad."""
    sent: list[Sent] = []

    def send(day: float, topic: Topic, key: str, message: Contract | bytes) -> None:
        for _ in range(1 + (choose.random() < 0.1)):
            delay = choose.random() * 7 if choose.random() < 0.2 else 0.0
            sent.append((day + delay + (15 if choose.random() < 0.01 else 0), topic, key, message))

    for number in range(90):
        name, day = choose.choice(CUSTOMERS_OF_TEST), choose.randrange(DAYS)
        lines = [choose.choice(("milk", "bread", "tea")) for _ in range(choose.randint(1, 3))]
        receipt = sale(day, lines, name, choose.choice(("s1", "s2")), f"t{number}")
        send(day, TRANSACTIONS, name, receipt)
        if choose.random() < 0.3:
            back = taken_back(receipt, day + choose.randrange(20), choose.choice(("return", "void")))
            send(day + choose.randint(-1, 3), TRANSACTIONS, name, back)
    for number in range(90):
        name, day = choose.choice([*CUSTOMERS_OF_TEST, *VISITORS]), choose.randrange(DAYS)
        is_customer = {"customer_id": name} if name[0] == "c" else {}
        for step in range(choose.randint(1, 3)):
            look = view(f"{number}-{step}", day + step / 24, name, **is_customer)
            send(day, CLICKSTREAM, name, look)
    for number in range(12):
        name, day = choose.choice(CUSTOMERS_OF_TEST), choose.randrange(DAYS)
        hers = [other for other, owner in BECOMES.items() if owner == name and choose.random() < 0.6]
        send(day, CUSTOMERS, name, customer(name, day, *hers, number=str(number)))
    for name in choose.sample([*CUSTOMERS_OF_TEST[:4], "v3"], 2):
        day = choose.randrange(10, DAYS)
        send(day, ERASURE, name, erasure(name, day))
    for topic in (TRANSACTIONS, CLICKSTREAM, CUSTOMERS, ERASURE):
        send(choose.randrange(DAYS), topic, "c0", choose.choice((b"{}", b"\xff", b'{"version":"9.0"}')))
    return sorted(sent, key=lambda each: each[0])


@pytest.mark.parametrize("seed", range(30))
def test_live_is_batch(offline_settings: Settings, tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    settings = offline_settings.model_copy(update={"partitions": choose.choice((1, 2, 5))})
    shop = Deployment(settings, seed)
    drained = 0.0
    for day, topic, key, message in happen(choose):
        shop.publish(topic, key, message)
        # Topics are read about as far as each other. A link that an erasure undoes is undone exactly while all that
        # came by it since is kept click by click: by `CLICK_DAYS`.
        if choose.random() < 0.03 or day - drained > 7:
            shop.drain_through_faults()
            drained = day
    shop.drain_through_faults()
    batch = {name: twin.content_hash() for name, twin in shop.recomputed(tmp_path).items()}
    assert shop.hashes() == batch
    events = {name: profile["events_folded"] for name, profile in shop.newest(PROFILES).items()}
    assert sum(events.values()) > 100
    assert len(shop.records(DEAD_LETTERS)) >= 4
    letters = Counter(
        (letter["origin_topic"], letter["origin_partition"], letter["origin_offset"])
        for topic in (DEAD_LETTERS, LATE)
        for letter in (json.loads(record.value or b"") for record in shop.records(topic))
    )
    assert set(letters.values()) == {1}, "each is set aside once, whatever was aborted"


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_one_run_in_calm_and_one_through_faults_publish_the_same(
    offline_settings: Settings, seed: int
) -> None:
    """Both fold what a week brought before the next: a topic is not read by months further than another."""
    found = []
    for through_faults in (False, True):
        shop = Deployment(offline_settings, 5)
        for _, week in itertools.groupby(happen(random.Random(seed)), key=lambda sent: sent[0] // 7):
            for _, topic, key, message in week:
                shop.publish(topic, key, message)
            if through_faults:
                shop.drain_through_faults(batch_max=3)
            else:
                shop.drain()
        found.append(shop.hashes())
        assert shop.records(PRODUCT_DELTAS)
    assert found[0] == found[1]
    assert len(found[0]) >= 5
