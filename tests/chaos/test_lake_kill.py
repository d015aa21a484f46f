"""`kill -9` of the lake writer or of the broker, while records keep coming: each is in the lake once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from streams.broker import DevBroker, free_port
from streams.kafka import Publisher
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import CLICKSTREAM, TRANSACTIONS
from twin_store.lake import Lake, compact

ROOT = Path(__file__).parents[2]
WAIT_S = 90.0
RECORDS_PER_LIFE = 400
SEED = 20_240_501
# A member of its own name has its partitions back at once; otherwise each death costs a session timeout.
PROGRAM = """
import threading
from streams import lake_writer
from streams.settings import load_settings
lake_writer.run(load_settings(), threading.Event(), member="lake-0")
"""


def start_writer(settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    """A writer process that flushes all the time, so that most kills come in the middle of a flush."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TWINS_")} | {
        "TWINS_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "TWINS_TOPIC_PREFIX": settings.topic_prefix,
        "TWINS_DATA_DIR": str(settings.data_dir),
        "TWINS_LAKE_FLUSH_EVENTS": "50",
        "TWINS_LAKE_FLUSH_S": "0.1",
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
    }
    with log.open("ab") as output:
        return subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, stderr=output)


def publish(publisher: Publisher, numbers: range, chance: random.Random) -> None:
    """A receipt and a click a number, scattered over customers and days."""
    for number in numbers:
        who = f"c{chance.randrange(40)}"
        at = f"2024-05-{chance.randint(1, 9):02d}T10:00:00Z"
        sale = {"transaction_id": f"t{number}", "customer_id": who, "occurred_at": at, "currency": "USD"}
        sale["lines"] = [{"sku": "milk", "quantity": 1, "net": "1.25"}]  # type: ignore[assignment]
        publisher.publish(TRANSACTIONS, who.encode(), msgspec.json.encode(sale))
        view = {"event_id": f"e{number}", "session_id": "s", "action": "view", "occurred_at": at}
        publisher.publish(CLICKSTREAM, who.encode(), msgspec.json.encode(view | {"customer_id": who}))
    publisher.flush()


def wait_until(settings: Settings, log: Path, records: int) -> None:
    """Until the lake has read so many records."""
    deadline = time.monotonic() + WAIT_S
    while sum(Lake(settings.lake).positions().values()) < records:
        assert time.monotonic() < deadline, f"the lake stands still: {log.read_text()}"
        time.sleep(0.02)


def numbers(lake: Lake) -> tuple[list[int], list[int]]:
    receipts = lake.scan_transactions().collect()["transaction_id"]
    clicks = lake.scan_clicks().collect()["event_id"]
    return sorted(int(name[1:]) for name in receipts), sorted(int(name[1:]) for name in clicks)


@pytest.mark.broker
@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.long)])
def test_killed_at_random_points(settings: Settings, tmp_path: Path, kills: int) -> None:
    apply_topics(settings)
    chance, log, total = random.Random(SEED), tmp_path / "writer.log", 0
    with Publisher(settings) as publisher:
        for _ in range(kills):
            writer = start_writer(settings, log)
            publish(publisher, range(total, total + RECORDS_PER_LIFE), chance)
            # It works again, has read some of what is new, and is in the midst of the rest.
            wait_until(settings, log, 2 * total + chance.randint(1, 2 * RECORDS_PER_LIFE - 200))
            total += RECORDS_PER_LIFE
            time.sleep(chance.random() * 0.05)
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            # What is there after each death is whole: nothing twice, nothing that a reader stumbles over.
            for found in numbers(Lake(settings.lake)):
                assert len(found) == len(set(found))
            if chance.random() < 0.5:
                compact(Lake(settings.lake).log)
        writer = start_writer(settings, log)
        wait_until(settings, log, 2 * total)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    everything = list(range(total))
    assert numbers(Lake(settings.lake)) == (everything, everything)


@pytest.mark.broker
@pytest.mark.long
def test_the_broker_is_killed_under_it(offline_settings: Settings, tmp_path: Path) -> None:
    """The writer is not touched: it waits, comes back by itself and goes on where it was."""
    broker = DevBroker(tmp_path / "broker", free_port())
    broker.start()
    settings = offline_settings.model_copy(update={"kafka_bootstrap": broker.bootstrap})
    apply_topics(settings)
    chance, log, total = random.Random(SEED), tmp_path / "writer.log", 0
    writer = start_writer(settings, log)
    try:
        with Publisher(settings) as publisher:
            for _ in range(3):
                publish(publisher, range(total, total + RECORDS_PER_LIFE), chance)
                wait_until(settings, log, 2 * total + 1)
                total += RECORDS_PER_LIFE
                broker.kill()
                broker.start()
        wait_until(settings, log, 2 * total)
        assert writer.poll() is None, log.read_text()
    finally:
        writer.kill()
        writer.wait()
        broker.stop()
    everything = list(range(total))
    assert numbers(Lake(settings.lake)) == (everything, everything)
