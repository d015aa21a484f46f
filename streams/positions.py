"""How far everybody is: the ends of topics, the offsets that groups have committed, and the lag between them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from streams.batch import Source
from streams.errors import TwinsError
from streams.kafka import consumer, is_passing, partitions_of, topic_name
from streams.settings import Settings
from streams.topics import Topic

TIMEOUT_S = 15.0
POLL_S = 0.05
LANES = frozenset({"updater", "indexer", "worker", "settler"})  # owners of topics that write in transactions

Positions = Mapping[Source, int]
"""The next offset of each topic's partitions."""


class PositionError(TwinsError):
    """Kafka does not say how far somebody is."""


class PositionReader:
    """Asks Kafka for offsets, over connections that it keeps.

    It asks as a consumer: librdkafka's admin calls for offsets were seen to crash the process while a broker
    that has just started still loads its groups.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._groups: dict[str, Consumer] = {}
        self._committed = consumer(settings, "positions")
        self._open = consumer(settings, "positions", uncommitted=True)
        self._partitions: dict[Topic, list[int]] = {}

    def ends(self, topics: Iterable[Topic], *, open_transactions: bool = False) -> dict[Source, int]:
        """The offset after the last committed record, or, with `open_transactions`, after the last record.

        A transaction's marker takes an offset too. Raises `TwinsError` if Kafka or a topic is not to be had.
        """
        asker = self._open if open_transactions else self._committed
        asked = self._sources(topics)
        latest = [TopicPartition(name, partition, OFFSET_END) for name, partition in asked]
        deadline = time.monotonic() + TIMEOUT_S
        while latest:
            error: KafkaError | None
            try:
                answers = asker.offsets_for_times(latest, TIMEOUT_S)
                error = next((answer.error for answer in answers if answer.error is not None), None)
            except KafkaException as exception:
                error = exception.args[0]
            if error is None:
                return {asked[answer.topic, answer.partition]: answer.offset for answer in answers}
            # Of topics that were just made, and while a broker restarts, the leader is not known everywhere.
            if not _is_passing(error) or time.monotonic() > deadline:
                raise PositionError(_no_answer("the ends of topics", error))
            time.sleep(POLL_S)
        return {}

    def committed(self, group: str, topics: Iterable[Topic]) -> dict[Source, int]:
        """What a group (its name without the prefix) has committed; 0 where it has not yet."""
        asker = self._groups.get(group)
        if asker is None:
            # Not waiting for the offsets of open transactions: those are not committed.
            asker = self._groups[group] = consumer(self._settings, group, uncommitted=True)
        asked = self._sources(topics)
        try:
            answers = asker.committed([TopicPartition(name, p) for name, p in asked], TIMEOUT_S)
        except KafkaException as error:
            raise PositionError(_no_answer(f"the offsets of group {group}", error.args[0])) from error
        return {asked[answer.topic, answer.partition]: max(answer.offset, 0) for answer in answers}

    def close(self) -> None:
        """Close the connections."""
        for asker in (self._committed, self._open, *self._groups.values()):
            asker.close()

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

    def _sources(self, topics: Iterable[Topic]) -> dict[tuple[str, int], Source]:
        """Every partition of these topics, by the topic's full name and the partition."""
        found: dict[tuple[str, int], Source] = {}
        for topic in topics:
            name = topic_name(self._settings, topic)
            if topic not in self._partitions:
                self._partitions[topic] = partitions_of(self._committed, name)
            found |= {(name, partition): (topic, partition) for partition in self._partitions[topic]}
        return found


def lag(ends: Positions, committed: Positions) -> int:
    """How many records stand between what was committed and the ends.

    Where lanes write, the last offset of a partition is the marker of a transaction, which nobody reads.
    """
    total = 0
    for (topic, partition), end in ends.items():
        markers = 1 if topic.owner in LANES else 0
        total += max(0, end - committed.get((topic, partition), 0) - markers)
    return total


def _no_answer(what: str, error: KafkaError) -> str:
    return f"Kafka does not tell {what}: {error.str()}; is it up? (`twins broker status`)"


def _is_passing(error: KafkaError) -> bool:
    """As `is_passing`; and a topic that was just made is not known everywhere."""
    return is_passing(error) or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
