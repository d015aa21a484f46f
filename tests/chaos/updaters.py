"""Updater processes that can be killed, and the truth to hold their profiles against."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition

from streams.kafka import consumer, group_name, partitions_of, read_to_end, topic_name
from streams.settings import Settings
from streams.sources.record import Record
from streams.topics import PROFILES, TRANSACTIONS, Topic

PROGRAM = """
import signal, sys, threading
from streams.settings import load_settings
from streams.updater.process import run
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
run(load_settings(), stop, sys.argv[1])
"""


def environment(settings: Settings) -> dict[str, str]:
    """The settings as `TWINS_*` variables for a child process."""
    given = {name: str(getattr(settings, name)) for name in settings.model_fields_set}
    return os.environ | {f"TWINS_{name.upper()}": value for name, value in given.items()}


class UpdaterProcess:
    """One updater in a process of its own."""

    def __init__(self, settings: Settings, member: str = "0") -> None:
        self._settings, self._member = settings, member
        self._process: subprocess.Popen[bytes] | None = None
        self.log = settings.data_dir / f"updater-{member}.log"

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, self._member],
                env=environment(self._settings), stdout=log, stderr=log,
            )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a power cut would: no clean-up."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        assert self._process.wait(60) == 0, self.log.read_text()[-4_000:]

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None


@dataclass
class Truth:
    """What the published receipts add up to, by customer."""

    receipts: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    spend_minor: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Truth":
        truth = cls()
        seen = set()
        for record in records:
            if record.topic is not TRANSACTIONS or not record.lines:
                continue
            body = json.loads(record.value or b"")
            if body["transaction_id"] in seen:
                continue
            seen.add(body["transaction_id"])
            customer = body["customer_id"]
            truth.receipts[customer] = truth.receipts.get(customer, 0) + 1
            truth.lines[customer] = truth.lines.get(customer, 0) + record.lines
            truth.spend_minor[customer] = truth.spend_minor.get(customer, 0) + record.net_minor
        return truth


def published_profiles(settings: Settings) -> dict[str, dict]:
    """The newest committed profile of every customer."""
    newest: dict[str, dict] = {}
    for message in read_to_end(settings, PROFILES):
        customer = (message.key() or b"").decode()
        if message.value() is None:
            newest.pop(customer, None)
        else:
            newest[customer] = json.loads(message.value() or b"")
    return newest


def told(profiles: Mapping[str, dict]) -> Truth:
    """The same sums as the profiles tell them."""
    truth = Truth()
    for customer, profile in profiles.items():
        activity = profile["dna"]["activity"]
        truth.receipts[customer] = activity["receipts"]
        truth.lines[customer] = activity["lines"]
        truth.spend_minor[customer] = round(float(activity["spend"]) * 100)
    return truth


def lag(settings: Settings, group: str, topic: Topic) -> int:
    """Records of a topic that the group has not committed."""
    for _ in range(60):
        try:
            return _lag(settings, group, topic)
        except KafkaException:
            time.sleep(
                0.5
            )  # a topic just made, or a broker just back, may not have a leader or coordinator yet
    return _lag(settings, group, topic)


def _lag(settings: Settings, group: str, topic: Topic) -> int:
    reader = consumer(settings, group)
    try:
        name = topic_name(settings, topic)
        positions = [TopicPartition(name, p) for p in partitions_of(reader, name)]
        total = 0
        for position in reader.committed(positions, 30):
            low, high = reader.get_watermark_offsets(position, 30)
            total += high - max(position.offset, low)
        return total
    finally:
        reader.close()


def wait_until_folded(settings: Settings, timeout_s: float = 120) -> None:
    """Until the updaters have committed every receipt."""
    deadline = time.monotonic() + timeout_s
    while lag(settings, "updater", TRANSACTIONS) > 0:
        assert time.monotonic() < deadline, f"{group_name(settings, 'updater')} does not catch up"
        time.sleep(0.2)


def state_folders(settings: Settings) -> list[Path]:
    """Where the partitions' stores are."""
    return sorted((settings.data_dir / "state").glob("*updater-*"))
