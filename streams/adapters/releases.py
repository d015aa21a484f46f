"""What serves each segment, as the releases say that were read so far."""

import logging
from collections.abc import Iterable

from confluent_kafka import Message

from streams.kafka import read_to_end
from streams.settings import Settings
from streams.topics import ADAPTERS
from twin_store.messages import AdapterRelease, AdapterVersion
from twin_store.messages.codec import BadMessage, decode

_log = logging.getLogger(__name__)


class Releases:
    """The release in force of each segment, in order of its first one."""

    def __init__(self) -> None:
        self.by_segment: dict[str, AdapterRelease] = {}

    def take(self, messages: Iterable[Message]) -> list[str]:
        """Take records in order; returns the segments whose release changed, each once.

        A release whose number is not greater than the one in force is of a writer that came too late. What does not
        fit its contract is logged and says nothing.
        """
        changed: dict[str, None] = {}
        for message in messages:
            segment = (message.key() or b"").decode(errors="replace")
            if message.value() is None:
                if self.by_segment.pop(segment, None) is not None:
                    changed[segment] = None
                continue
            try:
                release = decode(AdapterRelease, message.value())
            except BadMessage as error:
                _log.warning("the release at offset %s cannot be read: %s", message.offset(), error)
                continue
            known = self.by_segment.get(segment)
            if release.segment != segment or (known is not None and release.number <= known.number):
                _log.warning(
                    "release %d of %s says nothing: it is stale or misplaced", release.number, segment
                )
                continue
            self.by_segment[segment] = release
            changed[segment] = None
        return list(changed)


def read_releases(settings: Settings) -> Releases:
    """All that are published. Raises `KafkaReadError`."""
    found = Releases()
    found.take(read_to_end(settings, ADAPTERS))
    return found


def name_of(version: AdapterVersion, segment: str) -> str:
    """What the model calls it."""
    return version.name or f"{version.decider}/{segment}/{version.decider_version}"
