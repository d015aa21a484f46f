"""The profiles as they stand: the newest record of each customer, whole or only what an audit needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from streams.kafka import partition_for, read_to_end
from streams.settings import Settings
from streams.topic_admin import partition_count
from streams.topics import PROFILES
from twin_store.messages import Profile
from twin_store.messages.codec import decode


class Offset(msgspec.Struct):
    """The fields of `SourceOffset`, decoded fast."""

    topic: str
    partition: int
    offset: int


class _Head(msgspec.Struct):
    """The fields of `Profile` that an audit compares; the rest is skipped, not decoded."""

    content_hash: str
    events_folded: int
    as_of: str
    offsets: list[Offset]


@dataclass(frozen=True, slots=True)
class LiveProfile:
    """A published profile. `offsets` are the next offsets of the sources it includes, by full topic name."""

    content_hash: str
    events_folded: int
    as_of: str
    offsets: Mapping[tuple[str, int], int]
    value: bytes


def live_profiles(settings: Settings) -> dict[str, LiveProfile]:
    """By customer, the newest profile; those that were withdrawn are left out.

    Raises `KafkaReadError` if the topic cannot be read.
    """
    newest: dict[bytes, bytes] = {}
    for message in read_to_end(settings, PROFILES):
        key, value = message.key() or b"", message.value()
        if value is None:
            newest.pop(key, None)
        else:
            newest[key] = value
    parse = msgspec.json.Decoder(_Head).decode
    found = {}
    for key, value in newest.items():
        head = parse(value)
        offsets = {(each.topic, each.partition): each.offset for each in head.offsets}
        found[key.decode()] = LiveProfile(head.content_hash, head.events_folded, head.as_of, offsets, value)
    return found


def find_profile(settings: Settings, customer_id: str) -> Profile | None:
    """The newest profile of one customer, None if there is none.

    Raises `KafkaReadError` if the topic cannot be read.
    """
    key = customer_id.encode()
    partition = partition_for(key, partition_count(PROFILES, settings))
    newest: bytes | None = None
    for message in read_to_end(settings, PROFILES, only=[partition]):
        if message.key() == key:
            newest = message.value()
    return None if newest is None else decode(Profile, newest)
