"""The updater is killed, its disk is lost, members come and go: every receipt and cent counts once."""

import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from streams.settings import Settings
from streams.sources.complete_journey import CompleteJourney
from streams.sources.record import Record
from streams.sources.schedule import publish
from streams.topic_admin import apply_topics
from streams.topics import TRANSACTIONS
from tests.chaos.updaters import (
    Truth,
    UpdaterProcess,
    published_profiles,
    state_folders,
    told,
    wait_until_folded,
)

pytestmark = pytest.mark.broker
CUSTOMERS = 120


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


def kill_again_and_again(settings: Settings, updater: UpdaterProcess, kills: int) -> None:
    rng = random.Random(20)
    records = receipts()
    feeding = threading.Thread(target=lambda: publish(settings, records))
    updater.start()
    feeding.start()
    for _ in range(kills):
        time.sleep(3.0 + rng.random())  # past its start: two to three seconds of imports and assignment
        updater.kill()
        updater.start()
    feeding.join()
    wait_until_folded(settings)
    updater.stop()
    assert told(published_profiles(settings)) == Truth.of(records)


def test_five_kills_lose_and_double_nothing(small_batches: Settings, updater: UpdaterProcess) -> None:
    kill_again_and_again(small_batches.model_copy(update={"batch_max_messages": 10}), updater, 5)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_twenty_kills_lose_and_double_nothing(small_batches: Settings, updater: UpdaterProcess) -> None:
    kill_again_and_again(small_batches, updater, 20)


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


def test_a_stalled_member_is_fenced(small_batches: Settings, updater: UpdaterProcess) -> None:
    second_disk = small_batches.model_copy(update={"data_dir": small_batches.data_dir / "second"})
    other = UpdaterProcess(second_disk, "1")
    records = receipts()
    publish(small_batches, records)
    updater.start()
    time.sleep(4.0)
    updater.signal(signal.SIGSTOP)  # most likely in the middle of a transaction
    other.start()
    wait_until_folded(small_batches)
    updater.signal(signal.SIGCONT)
    time.sleep(3)
    publish(small_batches, records[: len(records) // 10])  # duplicates: nothing may change
    wait_until_folded(small_batches)
    other.stop()
    updater.stop()
    assert told(published_profiles(small_batches)) == Truth.of(records)
