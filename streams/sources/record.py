"""What a source yields: one message on its way to one topic, with the event time that orders it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

from streams.topics import Topic


class Record(NamedTuple):
    """One message, encoded. `lines` and `net_minor` (minor units) are what a receipt holds, for accounting.

    `at_seconds` is when the event happened, in seconds since 1970; a fault on purpose may let it arrive
    `delay_s` later. A `value` of None deletes the key of a compacted topic.
    """

    topic: Topic
    key: bytes
    value: bytes | None
    at_seconds: int
    lines: int = 0
    net_minor: int = 0
    delay_s: int = 0

    @property
    def arrives_at(self) -> int:
        """When the message reaches Kafka, in seconds since 1970."""
        return self.at_seconds + self.delay_s


def in_time_order(*streams: Iterable[Record]) -> Iterator[Record]:
    """Merge streams that are each in time order. At one instant an earlier argument's records come first."""
    return heapq.merge(*streams, key=attrgetter("at_seconds"))
