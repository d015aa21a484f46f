"""A partition's changelog into its local store: what a crash or another owner left behind."""

import logging
import shutil
import time
from pathlib import Path

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import OffsetSpec

from streams.batch import next_offset
from streams.errors import TwinsError
from streams.kafka import admin, consumer, is_passing, partitions_of, topic_name
from streams.settings import Settings
from streams.topics import STATE, Topic
from twin_store.store.base import Change, StateStore

CHUNK = 5_000
SILENCE_S = 60.0
RETRY_S = 0.2
# The changelog keeps tombstones for a week: who was away for longer would not hear who was erased meanwhile.
REBUILT_AFTER_S = 86_400.0
_log = logging.getLogger(__name__)


def remove_if_old(folder: Path) -> None:
    """Drop a partition's local records that were not written to for a day; they are read again from the beginning."""
    newest = max((file.stat().st_mtime for file in folder.glob("*")), default=None)
    if newest is not None and time.time() - newest > REBUILT_AFTER_S:
        _log.info("%s is older than %.0f h and is built anew", folder, REBUILT_AFTER_S / 3600)
        shutil.rmtree(folder)


def restore(
    settings: Settings, partition: int, store: StateStore, topic: Topic = STATE, is_copy: bool = False
) -> int:
    """Bring a store up to the end of its changelog; returns how many records were read.

    Records are whole values by key, so reading some of them again changes nothing. Only committed records are
    read, and all of them: if another process died in the middle of a transaction, its end is waited for, which
    comes when that process is back or the transaction times out. Offsets may say that a transaction was committed
    a moment before the changelog does.

    Args:
        is_copy: the store only follows the changelog, so a little behind its end will do.

    Raises:
        TwinsError: the topic does not exist, is not the one the store was filled from, or the broker is silent.
    """
    name = topic_name(settings, topic)
    until = 0 if is_copy else _end_with_open_transactions(settings, name, partition)
    start = store.position()
    if start > until and not is_copy:
        raise TwinsError(
            f"the local state of {name}[{partition}] reaches offset {start}, but the topic ends at {until}: it is "
            f"another broker's; remove the folder {settings.data_dir / 'state'} and start again"
        )
    reader = consumer(settings, f"restore-{partition}", partition_eof=True)
    try:
        # A partition that is assigned before its leader is known waits half a second for it.
        partitions_of(reader, name)
        reader.assign([TopicPartition(name, partition, start if start > 0 else OFFSET_BEGINNING)])
        timeout_s = SILENCE_S + settings.transaction_timeout_ms / 1000
        count = _read_all(reader, name, partition, store, until, timeout_s)
    finally:
        reader.close()
    if count:
        _log.info("%s[%d]: restored %d changelog records from offset %d", name, partition, count, start)
    return count


def _end_with_open_transactions(settings: Settings, name: str, partition: int) -> int:
    """The end of a partition, records counted whose transaction has not ended."""
    asked = TopicPartition(name, partition)
    client = admin(settings)
    deadline = time.monotonic() + SILENCE_S
    while True:
        found = client.list_offsets(
            {asked: OffsetSpec.latest()},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=SILENCE_S,
        )
        try:
            return int(found[asked].result().offset)
        except KafkaException as error:
            # A topic just made, or a broker just back, may not have a leader yet.
            if not is_passing(error.args[0]) or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_S)


def _read_all(
    reader: Consumer, name: str, partition: int, store: StateStore, until: int, timeout_s: float
) -> int:
    count = 0
    heard = time.monotonic()
    while True:
        messages = reader.consume(CHUNK, 0.05)  # waits for all of CHUNK or its timeout
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > timeout_s:
            raise TwinsError(
                f"{name}[{partition}] could not be read for {timeout_s:.0f} s; is the broker up?"
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
                position = max(position, message.offset() or 0)
                at_end = position >= until
        if changes or position != store.position():
            store.apply(changes, position)
            count += len(changes)
        if at_end:
            return count
