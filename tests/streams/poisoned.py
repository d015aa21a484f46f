"""One message of each kind of poison, through the broker, and the letter that each must come back as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from streams.dead_letters import Selection, key_of, payload_of, read_letters
from streams.kafka import Publisher, read_to_end, topic_name
from streams.settings import Settings
from streams.sources.poison import corrupt, poison_kinds
from streams.topics import Topic
from tests.streams.running import eventually
from twin_store.messages import DeadLetter

Expected = Mapping[str, tuple[str | None, str]]
"""By kind of poison: the place of the fault, and words of the reason."""


class Poison(NamedTuple):
    """A poisoned record, and where it lies."""

    kind: str
    key: bytes
    value: bytes
    origin: tuple[str, int, int]


def publish_poison(settings: Settings, topic: Topic, key: bytes, value: bytes) -> list[Poison]:
    """Publish one corrupted copy of a good message of every kind."""
    bodies = {corrupt(kind, topic, value, serial): kind for serial, kind in enumerate(poison_kinds(topic))}
    with Publisher(settings) as publisher:
        for body in bodies:
            publisher.publish(topic, key, body)
    name = topic_name(settings, topic)
    return [
        Poison(bodies[body], key, body, (name, message.partition() or 0, message.offset() or 0))
        for message in read_to_end(settings, topic)
        if (body := message.value() or b"") in bodies
    ]


def check_letters(settings: Settings, topic: Topic, poison: list[Poison], expected: Expected) -> None:
    """Each has its letter: whole, from its origin, with the place and the reason of its kind; and no other has."""
    assert {each.kind for each in poison} == set(poison_kinds(topic)) == set(expected)
    selection = Selection(topic=topic.name)
    eventually(
        lambda: len(list(read_letters(settings, selection))) >= len(poison),
        f"the letters of {topic.name}",
        timeout_s=120,  # whose owner may load a model first
    )
    letters = {place_of(letter): letter for letter in read_letters(settings, selection)}
    assert set(letters) == {each.origin for each in poison}
    told = {each.kind: (letters[each.origin].place, letters[each.origin].reason) for each in poison}
    wrong = {
        kind: said
        for kind, said in told.items()
        if said[0] != expected[kind][0] or expected[kind][1] not in said[1]
    }
    assert wrong == {}, wrong
    for each in poison:
        letter = letters[each.origin]
        assert key_of(letter) == each.key
        assert letter.omitted_bytes is not None or payload_of(letter) == each.value


def place_of(letter: DeadLetter) -> tuple[str, int, int]:
    """Where the message that a letter is about lies."""
    return letter.origin_topic, letter.origin_partition, letter.origin_offset
