"""What a lane hands over: batches of records, a place for outputs, and the handler that gets them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from confluent_kafka import Message

from streams.kafka import Headers
from streams.topics import Topic

Source = tuple[Topic, int]
"""A topic and a partition."""


@dataclass
class Batch:
    """Records taken together: by source, each source's in order of offset.

    `ends` says of changelogs that are followed where they were found to end, past the last record.
    """

    records: dict[Source, list[Message]] = field(default_factory=dict)
    ends: dict[Source, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.records.values()))

    def __bool__(self) -> bool:
        return bool(self.records or self.ends)


class Outbox(Protocol):
    """Where a handler puts what it publishes; it all becomes visible with the commit, or never."""

    def send(
        self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers = (), partition: int = -1
    ) -> None:
        """Publish one record."""


class Handler(Protocol):
    """What a lane does with its batches. All calls come from the lane's thread, one at a time."""

    def assigned(self, partition: int, committed: Mapping[Topic, int]) -> None:
        """Partition p of the lead and the companions is ours: open its state.

        `committed` has the next offsets to read; topics of which nothing was ever committed are left out.
        """

    def revoked(self, partition: int) -> None:
        """Partition p is no longer ours, or the lane stops: close its state."""

    def due(self) -> bool:
        """Whether there is something to do without new records; an empty batch is handled then."""

    def handle(self, batch: Batch, outbox: Outbox) -> Mapping[Source, int | None]:
        """Handle a batch; returns the sources that are not done with all of it.

        Of those the offset given is committed instead, or none; what lies behind it comes again after a crash
        or an abort.
        """

    def committed(self) -> None:
        """The batch and all it sent are committed."""

    def aborted(self) -> None:
        """The batch never happened; its records will come again."""


def next_offset(messages: list[Message]) -> int:
    """The offset after the last of one partition's records."""
    offset = messages[-1].offset()
    assert offset is not None, "a consumed record has an offset"
    return offset + 1
