"""The updater is killed, its disk is lost, members come and go: every receipt and cent counts once."""

import json
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from streams.kafka import read_to_end
from streams.settings import Settings
from streams.sources.complete_journey import CompleteJourney
from streams.sources.record import Record
from streams.sources.schedule import publish
from streams.topic_admin import apply_topics
from streams.topics import PRODUCTS, TRANSACTIONS
from tests.chaos.progress import progress
from tests.chaos.updaters import (
    Truth,
    UpdaterProcess,
    published_profiles,
    state_folders,
    told,
    wait_until_folded,
)
from tests.product_oracle import products_of, published, standing
from tests.streams.running import eventually
from twin_store.messages.codec import instant_of

pytestmark = pytest.mark.broker
CUSTOMERS = 120
RECEIPTS_PER_LIFE = 150


@pytest.fixture
def small_batches(settings: Settings) -> Settings:
    """Many small transactions, so that a kill falls anywhere in one."""
    settings = settings.model_copy(update={"batch_max_messages": 40, "session_timeout_ms": 6_000})
    apply_topics(settings)
    return settings


def receipts() -> list[Record]:
    return list(CompleteJourney().records(customers=CUSTOMERS, topics=(TRANSACTIONS,)))


@pytest.fixture
def updater(small_batches: Settings) -> Iterator[UpdaterProcess]:
    process = UpdaterProcess(small_batches)
    yield process
    if process.running:
        process.kill()


def slices(lives: int) -> list[list[Record]]:
    """The newest receipts, so many a life, and some days after every eighth the return of one of its products.

    All are of the weeks that products are published with.
    """
    newest = receipts()[-lives * RECEIPTS_PER_LIFE :]
    cut = [newest[at : at + RECEIPTS_PER_LIFE] for at in range(0, len(newest), RECEIPTS_PER_LIFE)]
    for number, mine in enumerate(cut[:-1]):
        backs = [returned(record, cut[number + 1][-1].at_seconds) for record in mine[::8]]
        cut[number + 1] += [back for back in backs if back is not None]
    return cut


def returned(record: Record, second: int) -> Record | None:
    """The return of the first product of a receipt, or of half of it; None if there is nothing to return."""
    body = json.loads(record.value or b"")
    bought = [line for line in body["lines"] if line["quantity"] >= 1]
    if not bought:
        return None
    units = bought[0]["quantity"] if second % 2 else bought[0]["quantity"] / 2
    back = {
        "transaction_id": f"back-{body['transaction_id']}",
        "customer_id": body["customer_id"],
        "occurred_at": instant_of(second).isoformat(),
        "currency": body["currency"],
        "kind": "return",
        "original_transaction_id": body["transaction_id"],
        "lines": [{"sku": bought[0]["sku"], "quantity": units}],
    }
    return Record(TRANSACTIONS, record.key, json.dumps(back).encode(), second)


def kill_again_and_again(settings: Settings, kills: int) -> None:
    """Each life gets a slice of receipts, and is ended when it has committed some of them and not all."""
    rng = random.Random(20)
    everything: list[Record] = []
    updater = UpdaterProcess(settings.model_copy(update={"batch_max_messages": 10}))
    with progress(settings, "updater", TRANSACTIONS) as read:
        for mine in slices(kills):
            updater.start()
            publish(settings, mine)
            everything += mine
            read.until_committed(read.end - len(mine) + rng.randrange(1, len(mine) // 2))
            time.sleep(rng.random() * 0.02)
            updater.kill()
            assert read.committed < read.end, "the updater had nothing left to do"
    updater.start()
    wait_until_folded(settings)
    check(settings, everything)
    updater.stop()


def check(settings: Settings, records: list[Record]) -> None:
    """Every receipt, line and cent once, by customer and by product and week; a tick may still be to come."""
    bodies = [record.value or b"" for record in records]
    assert told(published_profiles(settings)) == truth_with_returns(bodies)
    truth = {sku: product.published()["weeks"] for sku, product in products_of(bodies).items()}
    eventually(lambda: weeks_of_products(settings) == truth, "the products to be what the receipts say")


def weeks_of_products(settings: Settings) -> dict[str, Any]:
    """Lines, units, net and deal lines by week of every product of which something is left."""
    newest = {m.key(): json.loads(m.value() or b"") for m in read_to_end(settings, PRODUCTS)}
    return {body["sku"]: published(body)["weeks"] for body in newest.values() if body["weeks"]}


def truth_with_returns(bodies: list[bytes]) -> Truth:
    """What stands of these receipts by customer."""
    sales = {
        body["transaction_id"]: body["customer_id"]
        for body in map(json.loads, bodies)
        if body.get("kind", "sale") == "sale"
    }
    truth = Truth(receipts=dict(Counter(sales.values())))
    truth.lines = dict.fromkeys(truth.receipts, 0)
    truth.spend_minor = dict.fromkeys(truth.receipts, 0)
    for row in standing(bodies):
        truth.lines[row.customer_id] += row.lines
        truth.spend_minor[row.customer_id] += row.net
    return truth


@pytest.mark.timeout(300)
def test_five_kills_lose_and_double_nothing(small_batches: Settings) -> None:
    kill_again_and_again(small_batches, 5)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_twenty_kills_lose_and_double_nothing(small_batches: Settings) -> None:
    kill_again_and_again(small_batches, 20)


def test_a_lost_disk_is_rebuilt_from_the_changelog(small_batches: Settings, updater: UpdaterProcess) -> None:
    records = receipts()
    half = len(records) // 2
    publish(small_batches, records[:half])
    updater.start()
    wait_until_folded(small_batches)
    updater.kill()
    for folder in state_folders(small_batches):
        shutil.rmtree(folder)
    publish(small_batches, records[half:])
    updater.start()
    wait_until_folded(small_batches)
    updater.stop()
    assert told(published_profiles(small_batches)) == Truth.of(records)


def test_members_come_and_go_under_load(small_batches: Settings, updater: UpdaterProcess) -> None:
    second_disk = small_batches.model_copy(update={"data_dir": small_batches.data_dir / "second"})
    other = UpdaterProcess(second_disk, "1")
    records = receipts()
    feeding = threading.Thread(target=lambda: publish(small_batches, records, speed=900_000.0))
    updater.start()
    feeding.start()
    time.sleep(5)
    other.start()
    time.sleep(12)
    other.stop()
    feeding.join()
    wait_until_folded(small_batches)
    updater.stop()
    assert told(published_profiles(small_batches)) == Truth.of(records)
    assert state_folders(second_disk), "the second member never had a partition"


def test_a_stalled_member_is_fenced(small_batches: Settings) -> None:
    """Stopped amid its work it loses its partitions; when it goes on it is told so, and changes nothing any more."""
    settings = small_batches.model_copy(update={"transaction_timeout_ms": 8_000})
    stalled = UpdaterProcess(settings)
    other = UpdaterProcess(settings.model_copy(update={"data_dir": settings.data_dir / "second"}), "1")
    records = receipts()[-1_200:]
    publish(settings, records)
    stalled.start()
    try:
        with progress(settings, "updater", TRANSACTIONS) as read:
            read.until_committed(read.end // 4)
            stalled.signal(signal.SIGSTOP)
            assert read.committed < read.end, "it had nothing left to do"
        other.start()
        wait_until_folded(settings)
        assert not is_dispossessed(stalled.log.read_text())
        stalled.signal(signal.SIGCONT)
        eventually(lambda: is_dispossessed(stalled.log.read_text()), "it to hear of its loss")
        publish(settings, records[: len(records) // 10])  # duplicates: nothing may change
        wait_until_folded(settings)
        other.stop()
    finally:
        stalled.kill()
        if other.running:
            other.kill()
    assert told(published_profiles(settings)) == Truth.of(records)


def is_dispossessed(log: str) -> bool:
    """Whether a lane was told that its partitions are another's now, by the group or by a refused transaction."""
    return "lost partitions" in log or "FencedError" in log
