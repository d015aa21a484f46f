"""What a compacted topic says by key, whatever else is in it."""

from __future__ import annotations

from confluent_kafka import Message

from streams.decoding import FastDecoder
from streams.tables import newest
from twin_store.messages import Erasure
from twin_store.messages.codec import instant_of


def message(key: str, value: bytes | None) -> Message:
    return Message(topic="any", partition=0, offset=0, key=key.encode(), value=value)


def erasure(customer: str, day: int) -> bytes:
    return Erasure(customer_id=customer, requested_at=instant_of(86_400 * day)).to_wire()


def test_the_last_message_of_a_key_that_fits_counts() -> None:
    messages = [
        message("gone", erasure("gone", 1)),
        message("back", None),
        message("twice", erasure("twice", 1)),
        message("gone", None),
        message("back", erasure("back", 2)),
        message("twice", erasure("twice", 2)),
        message("twice", b"no json"),
        message("bad", b"{}"),
    ]
    found = newest(messages, FastDecoder(Erasure))
    days = {key: each and each.requested_at.day for key, each in found.items()}
    assert days == {"gone": None, "back": 3, "twice": 3}
