"""Topics that every process needs whole, kept by key in memory: the catalogue, product statistics."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from streams.errors import TwinsError
from streams.kafka import consumer, partitions_of, topic_name
from streams.settings import Settings
from streams.topics import Topic
from twin_store.messages.codec import BadMessage

M = TypeVar("M")

METADATA_TIMEOUT_S = 10.0
PROCESS_PATIENCE_S = 60.0  # of a part that starts while a broker restarts
LOAD_TIMEOUT_S = 60.0
CHUNK = 10_000


class GlobalTable:
    """Reads every partition of a topic from the beginning, without a group, and hands on what comes.

    `take` gets lists of records, each partition's in order. Nothing is committed: a new process reads again.

    Args:
        patience_s: how long to wait for a broker that does not answer.
    """

    def __init__(
        self,
        settings: Settings,
        topic: Topic,
        take: Callable[[list[Message]], Any],
        patience_s: float = METADATA_TIMEOUT_S,
    ) -> None:
        self._name = topic_name(settings, topic)
        self._take = take
        self._consumer: Consumer = consumer(settings, f"table-{topic.name}", partition_eof=True)
        partitions = partitions_of(self._consumer, self._name, patience_s)
        self._consumer.assign([TopicPartition(self._name, p, OFFSET_BEGINNING) for p in partitions])
        self._waiting = set(partitions)

    def load(self) -> None:
        """Read to the end of the topic as it is now.

        Raises:
            TwinsError: the broker did not answer.
        """
        while self._waiting:
            if not self._poll(LOAD_TIMEOUT_S, 1):
                raise TwinsError(
                    f"{self._name} could not be read within {LOAD_TIMEOUT_S:.0f} s; is the broker up?"
                )
            self._poll(0.01, CHUNK)

    def poll(self, most: int = CHUNK) -> int:
        """Take what has come since, at most so many records at once; returns how many, without waiting."""
        return self._poll(0.0, most)

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def _poll(self, timeout_s: float, count: int) -> int:
        messages = self._consumer.consume(count, timeout_s)
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._waiting.discard(message.partition())
        if records:
            self._take(records)
        return len(messages)


def newest(messages: Iterable[Message], decode: Callable[[bytes], M]) -> dict[str, M | None]:
    """The last message of each key that fits its contract, None where it deletes the key.

    What does not fit is left out: whoever answers for the topic sets it aside.
    """
    found: dict[str, M | None] = {}
    for message in messages:
        key, value = (message.key() or b"").decode(errors="replace"), message.value()
        try:
            found[key] = None if value is None else decode(value)
        except BadMessage:
            continue
    return found
