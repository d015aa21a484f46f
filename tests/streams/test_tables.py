"""What a compacted topic says by key, whatever else is in it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from confluent_kafka import Message

from streams.broker import DevBroker, free_port
from streams.decoding import FastDecoder
from streams.kafka import KafkaReadError, Publisher
from streams.settings import Settings
from streams.tables import PROCESS_PATIENCE_S, GlobalTable, newest
from streams.topic_admin import apply_topics
from streams.topics import ERASURE
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


@pytest.mark.broker
def test_who_starts_while_the_broker_restarts_waits_for_it(tmp_path: Path) -> None:
    broker = DevBroker(tmp_path / "broker", free_port())
    broker.start()
    settings = Settings(kafka_bootstrap=broker.bootstrap, data_dir=tmp_path / "data")
    taken: list[Message] = []
    try:
        apply_topics(settings)
        with Publisher(settings) as publisher:
            publisher.publish(ERASURE, b"anna", erasure("anna", 1))
        broker.kill()
        with pytest.raises(KafkaReadError, match="is Kafka up"):
            GlobalTable(settings, ERASURE, taken.extend, patience_s=0.5)
        restart = threading.Timer(1.0, broker.start)
        restart.start()
        table = GlobalTable(settings, ERASURE, taken.extend, PROCESS_PATIENCE_S)
        table.load()
        table.close()
        restart.join()
    finally:
        broker.stop()
    assert [record.key() for record in taken] == [b"anna"]
