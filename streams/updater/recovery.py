"""A partition's changelog into its local store: what a crash or another owner left behind."""

import logging
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from streams.errors import TwinsError
from streams.kafka import consumer, topic_name
from streams.lane import next_offset
from streams.settings import Settings
from streams.topics import STATE
from twin_store.store.base import Change, StateStore

CHUNK = 5_000
SILENCE_S = 60.0
_log = logging.getLogger(__name__)


def restore(settings: Settings, partition: int, store: StateStore) -> int:
    """Bring a store up to the end of its changelog; returns how many records were read.

    Records are whole values by key, so reading some of them again changes nothing. Only committed records are
    read, and all of them: the group's offsets were read before, and that waits for open transactions.

    Raises:
        TwinsError: the broker is silent.
    """
    name = topic_name(settings, STATE)
    reader = consumer(settings, f"restore-{partition}", partition_eof=True)
    try:
        start = store.position()
        reader.assign([TopicPartition(name, partition, start if start > 0 else OFFSET_BEGINNING)])
        count = _read_all(reader, name, partition, store)
    finally:
        reader.close()
    if count:
        _log.info("partition %d: restored %d changelog records from offset %d", partition, count, start)
    return count


def _read_all(reader: Consumer, name: str, partition: int, store: StateStore) -> int:
    count = 0
    heard = time.monotonic()
    while True:
        messages = reader.consume(CHUNK, 0.5)
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENCE_S:
            raise TwinsError(
                f"{name}[{partition}] could not be read for {SILENCE_S:.0f} s; is the broker up?"
            )
        changes: list[Change] = []
        at_end = False
        position = store.position()
        for message in messages:
            error = message.error()
            if error is None:
                changes.append((message.key() or b"", message.value()))
                position = next_offset([message])
            elif error.code() == KafkaError._PARTITION_EOF:
                at_end = True
                position = max(position, message.offset() or 0)
        if changes or position != store.position():
            store.apply(changes, position)
            count += len(changes)
        if at_end:
            return count
