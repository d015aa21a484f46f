"""How far everybody is: the ends of topics, the offsets that groups have committed, and the lag between them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.errors import TwinsError
from streams.kafka import admin, group_name, partitions_of, topic_name
from streams.settings import Settings
from streams.topics import Topic

TIMEOUT_S = 15.0
POLL_S = 0.05
LANES = frozenset({"updater", "indexer", "worker", "settler"})  # owners of topics that write in transactions

PASSING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._TRANSPORT,
    }
)

Positions = Mapping[tuple[Topic, int], int]
"""The next offset of each topic's partitions."""


class PositionError(TwinsError):
    """Kafka does not say how far somebody is."""


class PositionReader:
    """Asks Kafka for offsets; remembers how many partitions each topic has."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: AdminClient = admin(settings)
        self._partitions: dict[Topic, list[int]] = {}

    def ends(
        self, topics: Iterable[Topic], *, open_transactions: bool = False
    ) -> dict[tuple[Topic, int], int]:
        """The offset after the last committed record, or, with `open_transactions`, after the last record.

        A transaction's marker takes an offset too. Raises `TwinsError` if Kafka or a topic is not to be had.
        """
        level = IsolationLevel.READ_UNCOMMITTED if open_transactions else IsolationLevel.READ_COMMITTED
        sources = {
            (topic_name(self._settings, topic), partition): (topic, partition)
            for topic in topics
            for partition in self._partitions_of(topic)
        }
        asked = {TopicPartition(name, partition): OffsetSpec.latest() for name, partition in sources}
        found: dict[tuple[Topic, int], int] = {}
        deadline = time.monotonic() + TIMEOUT_S
        while asked:
            answers = self._admin.list_offsets(asked, isolation_level=level, request_timeout=TIMEOUT_S)
            for tp, future in answers.items():
                # Of topics that were just made, and while a broker restarts, the leader is not known everywhere.
                is_last = time.monotonic() > deadline
                answer = _result(future, f"the end of {tp.topic}", may_fail=not is_last)
                if answer is not None:
                    found[sources[tp.topic, tp.partition]] = int(answer.offset)
            asked = {tp: spec for tp, spec in asked.items() if sources[tp.topic, tp.partition] not in found}
            time.sleep(POLL_S if asked else 0)
        return found

    def committed(self, group: str, topics: Iterable[Topic]) -> dict[tuple[Topic, int], int]:
        """What a group (its name without the prefix) has committed; 0 where it has not yet."""
        by_name = {topic_name(self._settings, topic): topic for topic in topics}
        positions = {
            (topic, partition): 0 for topic in by_name.values() for partition in self._partitions_of(topic)
        }
        name = group_name(self._settings, group)
        asked = [ConsumerGroupTopicPartitions(name)]
        (future,) = self._admin.list_consumer_group_offsets(asked, request_timeout=TIMEOUT_S).values()
        for tp in _result(future, f"the offsets of group {name}").topic_partitions:
            topic = by_name.get(tp.topic)
            if topic is not None and tp.offset > 0:
                positions[topic, tp.partition] = tp.offset
        return positions

    def wait_for_open_transactions(self, topic: Topic, timeout_s: float) -> None:
        """Return once every transaction that is open now on this topic has ended.

        Raises `PositionError` if one stays open.
        """
        reach = self.ends([topic], open_transactions=True)
        deadline = time.monotonic() + timeout_s
        while any(end < reach[source] for source, end in self.ends([topic]).items()):
            if time.monotonic() > deadline:
                raise PositionError(
                    f"a transaction on {topic_name(self._settings, topic)} is open for {timeout_s:.0f} s; "
                    "its writer hangs or has died: Kafka ends it by itself, try again in a minute"
                )
            time.sleep(POLL_S)

    def _partitions_of(self, topic: Topic) -> list[int]:
        if topic not in self._partitions:
            self._partitions[topic] = partitions_of(self._admin, topic_name(self._settings, topic))
        return self._partitions[topic]


def lag(ends: Positions, committed: Positions) -> int:
    """How many records stand between what was committed and the ends.

    Where lanes write, the last offset of a partition is the marker of a transaction, which nobody reads.
    """
    total = 0
    for (topic, partition), end in ends.items():
        markers = 1 if topic.owner in LANES else 0
        total += max(0, end - committed.get((topic, partition), 0) - markers)
    return total


def _result(future: Any, what: str, *, may_fail: bool = False) -> Any:
    """What Kafka answered; None if it could not just now and `may_fail`."""
    try:
        return future.result(timeout=TIMEOUT_S)
    except KafkaException as error:
        if may_fail and error.args[0].code() in PASSING:
            return None
        raise PositionError(f"Kafka does not tell {what}: {error.args[0].str()}") from error
    except TimeoutError as error:
        raise PositionError(f"Kafka does not tell {what}; is it up? (`twins broker status`)") from error
