"""Faust as the post of the rounds: its producer delivers, its table is where ledgers are kept."""

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
    """See `rounds.Post`.

    Ledgers are a table in memory with `PLANNER_STATE` as its changelog, which Faust reads back on start and when
    partitions move. They are written here and not through the table: what Faust writes may still wait in a buffer
    when it commits offsets, and it cannot be written inside `take` (faust-streaming #497).
    """

    def __init__(self, app: faust.App, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._names: dict[Topic, str] = {}
        changelog = raw_topic(
            app,
            settings,
            PLANNER_STATE,
            acks=False,
            internal=True,
            partitions=settings.partitions,
            compacting=True,
        )
        self._table: TableT[bytes, bytes] = app.Table(
            "ledgers",
            key_type=bytes,
            value_type=bytes,
            partitions=settings.partitions,
            changelog_topic=changelog,
        )

    async def send(
        self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Awaitable[Any]:
        """Faust's producer partitions as librdkafka's murmur2 does; a test holds them to it."""
        name = self._names.get(topic) or self._names.setdefault(topic, topic_name(self._settings, topic))
        delivered: Awaitable[Any] = await self._app.producer.send(
            name,
            key,
            value,
            partition=None,
            timestamp=None,
            headers=list(headers) or None,  # type: ignore[arg-type]
        )
        return delivered

    def ledger(self, key: bytes) -> bytes | None:
        """From memory."""
        found: bytes | None = self._table.data.get(key)
        return found

    async def write(self, key: bytes, value: bytes | None) -> Awaitable[Any]:
        """To the changelog; None is a tombstone."""
        return await self.send(PLANNER_STATE, key, value)

    def keep(self, key: bytes, value: bytes | None) -> None:
        """In memory, where only what is durable may stand."""
        if value is None:
            self._table.data.pop(key, None)
        else:
            self._table.data[key] = value
