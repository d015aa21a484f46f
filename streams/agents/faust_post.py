"""Faust as the post of an agent's rounds: its producer delivers, its table is where what it remembers is kept."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import faust
from faust.types import TableT

from streams.agents.faust_app import raw_topic
from streams.kafka import Headers, topic_name
from streams.settings import Settings
from streams.topics import PLANNER_STATE, Topic


class FaustPost:
    """See `rounds.Post`. What it calls ledgers is whatever its agent remembers by key.

    Ledgers are a table in memory with a changelog (`PLANNER_STATE`, unless said), which Faust reads back on start and
    when partitions move. They are written here and not through the table: what Faust writes may still wait in a buffer
    when it commits offsets, and it cannot be written inside `take` (faust-streaming #497).
    """

    def __init__(
        self, app: faust.App, settings: Settings, changelog: Topic = PLANNER_STATE, name: str = "ledgers"
    ) -> None:
        self._app = app
        self._settings = settings
        self._changelog = changelog
        self._names: dict[Topic, str] = {}
        kept = raw_topic(
            app,
            settings,
            changelog,
            acks=False,
            internal=True,
            partitions=settings.partitions,
            compacting=True,
        )
        self._table: TableT[bytes, bytes] = app.Table(
            name,
            key_type=bytes,
            value_type=bytes,
            partitions=settings.partitions,
            changelog_topic=kept,
        )

    async def send(
        self,
        topic: Topic,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> Awaitable[Any]:
        """Faust's producer partitions as librdkafka's murmur2 does, unless told where; a test holds them to it."""
        name = self._names.get(topic) or self._names.setdefault(topic, topic_name(self._settings, topic))
        delivered: Awaitable[Any] = await self._app.producer.send(
            name,
            key,
            value,
            partition=partition,
            timestamp=None,
            headers=list(headers) or None,  # type: ignore[arg-type]
        )
        return delivered

    def ledger(self, key: bytes) -> bytes | None:
        """From memory."""
        found: bytes | None = self._table.data.get(key)
        return found

    async def write(self, key: bytes, value: bytes | None, partition: int | None = None) -> Awaitable[Any]:
        """To the changelog, in the key's partition unless another is named; None is a tombstone."""
        return await self.send(self._changelog, key, value, partition=partition)

    def keep(self, key: bytes, value: bytes | None) -> None:
        """In memory, where only what is durable may stand."""
        if value is None:
            self._table.data.pop(key, None)
        else:
            self._table.data[key] = value
