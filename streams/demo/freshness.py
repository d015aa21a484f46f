"""How long a receipt takes to reach its customer's published profile, as a reader of the profiles sees it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

import msgspec
import numpy as np
from confluent_kafka import OFFSET_END, Message, TopicPartition

from streams.kafka import consumer, partitions_of, read_to_end, topic_name
from streams.live_profiles import Offset
from streams.settings import Settings
from streams.topics import PROFILES, TRANSACTIONS
from twin_store.receipt_judge import ReceiptJudge
from twin_store.records import Record

POLL_S = 0.1
CHUNK = 500


class _Profile(msgspec.Struct):
    customer_id: str
    offsets: list[Offset]


@dataclass
class _Seen:
    """Profiles of one customer in order of arrival: the next receipt offset each includes, and when it came."""

    offsets: list[int] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)


class FreshnessWatch:
    """Reads the profiles as a CRM would and notes when each came; as a context manager, while it is open."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._receipts = topic_name(settings, TRANSACTIONS)
        self._seen: dict[str, _Seen] = defaultdict(_Seen)
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="freshness", daemon=True)
        self.started = 0.0

    def __enter__(self) -> FreshnessWatch:
        self._thread.start()
        self._ready.wait()
        self.started = time.time()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def milliseconds(self) -> np.ndarray:
        """Of every receipt published while watching, from its append to the first profile that includes it.

        A repeated receipt changes no profile, so only the first of each transaction counts.
        """
        taken: list[float] = []
        known: set[str] = set()
        messages = list(read_to_end(self._settings, TRANSACTIONS))
        records = [Record(m.key(), m.value(), m.timestamp()[1] / 1000) for m in messages]
        receipts, sources, _ = ReceiptJudge(self._settings.currency).accept(records)
        for receipt, source in zip(receipts, sources, strict=True):
            appended = records[source].timestamp
            seen = self._seen.get(receipt.customer_id)
            is_repeated = receipt.transaction_id in known
            known.add(receipt.transaction_id)
            if is_repeated or appended < self.started or seen is None:
                continue
            first = int(np.searchsorted(seen.offsets, messages[source].offset() or 0, side="right"))
            if first < len(seen.arrived):
                taken.append((seen.arrived[first] - appended) * 1000)
        return np.array(taken)

    def _watch(self) -> None:
        reader = consumer(self._settings, "freshness")
        name = topic_name(self._settings, PROFILES)
        ends = [TopicPartition(name, p, OFFSET_END) for p in partitions_of(reader, name)]
        reader.assign(ends)
        # The end is looked up at the first poll; without it the first profiles would be missed.
        reader.poll(1.0)
        self._ready.set()
        while not self._stop.is_set():
            first = reader.poll(POLL_S)
            if first is not None:
                arrived = time.time()
                self._note([first, *reader.consume(CHUNK, 0.0)], arrived)
        reader.close()

    def _note(self, messages: list[Message], arrived: float) -> None:
        for message in messages:
            if message.error() is not None or message.value() is None:
                continue
            profile = msgspec.json.decode(message.value() or b"", type=_Profile)
            for offset in profile.offsets:
                if offset.topic == self._receipts:
                    seen = self._seen[profile.customer_id]
                    seen.offsets.append(offset.offset)
                    seen.arrived.append(arrived)
