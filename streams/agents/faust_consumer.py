"""Faust's consumer, with what Faust 0.15 gets wrong about reading put right. Each was seen on the real broker.

- Under `at_least_once` it reads uncommitted records: the profiles of the updater's aborted transactions.
- It finds the offset to commit by looking for gaps, and where a transaction's marker lies right behind a partition's
  first record it never commits again.
- When a rebalance ends it lets records flow, seeks, and then empties its queues: what is in them is lost.
- It seeks back to what is committed only where something is. Killed and started again before its first commit, it
  passes over what it had fetched.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from mode.utils.futures import notify

READ_COMMITTED = "read_committed"
_log = logging.getLogger("faust.streams")  # it says what Faust says, so it is as loud as Faust


class _CommittedThread(driver.AIOKafkaConsumerThread):
    """The thread that reads: committed records only."""

    logger = _log

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust passes no such option on, and aiokafka reads it when it starts.
        consumer._isolation_level = READ_COMMITTED
        return consumer


class _CommittedConsumer(driver.Consumer):
    """Commits what agents acknowledged, record by record in order; each partition has one agent, one at a time."""

    logger = _log

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._done: dict[TP, int] = {}

    def _new_consumer_thread(self) -> _CommittedThread:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)

    def ack(self, message: Message) -> bool:
        """The record is dealt with, or was thrown away: then it was never `tracked` and comes again."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        if message.tracked:
            self._done[message.tp] = message.offset + 1
        notify(self._waiting_for_ack)
        return True

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Faust resumes partitions, seeks to what is committed, and then empties its queues.

        Records that come in between would be gone for good: not even counted as read until a later one is. So
        nothing may flow until Faust says so, which it does right after.
        """
        self.stop_flow()
        super().resume_partitions(tps)

    async def perform_seek(self) -> None:
        """Seek to what is committed; where nothing is yet, to the beginning.

        Faust leaves such a partition where the last fetch ended, though what that brought was thrown away.
        """
        await super().perform_seek()
        fresh = [
            tp
            for tp in self.assignment()
            if self._committed_offset[tp] is None and not self._is_changelog_tp(tp)
        ]
        if fresh:
            await self._thread.seek_to_beginning(*(driver.ensure_aiokafka_TP(tp) for tp in fresh))
            self._read_offset.update(dict.fromkeys(fresh))

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commits, then forgets what was done in these partitions."""
        await super().on_partitions_revoked(revoked)
        for partition in revoked:
            self._done.pop(partition, None)

    def _filter_tps_with_pending_acks(self, topics: Collection[TP | str] | None = None) -> Iterator[TP]:
        return (tp for tp in list(self._done) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._done.get(tp)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Gaps mean nothing to `_new_offset`."""


class CommittedTransport(driver.Transport):
    """Faust's Kafka transport, reading committed records only."""

    Consumer = _CommittedConsumer
