"""How far processes have come, as the broker knows it: what a kill at a chosen point waits for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException, TopicPartition

from streams.kafka import admin, consumer, group_name, partitions_of, topic_name
from streams.settings import Settings
from streams.topics import Topic
from tests.streams.running import eventually

ANSWER_S = 30


class Progress:
    """Where a topic ends, and how far a consumer group has committed it."""

    def __init__(self, settings: Settings, group: str, topic: Topic) -> None:
        self._what = f"{group} in {topic.name}"
        # Who was killed amid a transaction leaves offsets that others wait for until it ends; not so this one.
        self._reader = consumer(settings, group, uncommitted=True)
        name = topic_name(settings, topic)
        self._partitions = [TopicPartition(name, p) for p in partitions_of(self._reader, name)]

    @property
    def end(self) -> int:
        """The offsets of the partitions' ends, added up; ends of transactions count as records."""
        return sum(self._reader.get_watermark_offsets(tp, ANSWER_S)[1] for tp in self._partitions)

    @property
    def committed(self) -> int:
        """The committed offsets, added up."""
        return sum(max(0, tp.offset) for tp in self._reader.committed(self._partitions, ANSWER_S))

    def until_committed(self, offset: int, timeout_s: float = 90.0) -> None:
        """Wait until so much is committed."""
        eventually(lambda: self.committed >= offset, f"{self._what} to reach {offset}", timeout_s)

    def until_written(self, offset: int, timeout_s: float = 90.0) -> None:
        """Wait until so much is in the topic."""
        eventually(lambda: self.end >= offset, f"{self._what} to grow to {offset}", timeout_s)

    def close(self) -> None:
        """Hang up."""
        self._reader.close()


@contextmanager
def progress(settings: Settings, group: str, topic: Topic) -> Iterator[Progress]:
    """The progress of a group, for a while."""
    found = Progress(settings, group, topic)
    try:
        yield found
    finally:
        found.close()


def until_shared_by(settings: Settings, group: str, count: int, timeout_s: float = 60.0) -> None:
    """Wait until so many members of a group have partitions."""
    client, name = admin(settings), group_name(settings, group)

    def owners() -> int:
        try:
            found = client.describe_consumer_groups([name])[name].result()
        except KafkaException:
            return 0  # there is no such group yet
        return sum(bool(m.assignment and m.assignment.topic_partitions) for m in found.members)

    eventually(lambda: owners() == count, f"{count} members of {group} to have partitions", timeout_s)
