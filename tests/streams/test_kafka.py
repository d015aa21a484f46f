"""The clients against the real broker: partitions as computed, losses noticed, open transactions unseen."""

from __future__ import annotations

import logging
import os

import pytest

from streams import kafka
from streams.broker import free_port
from streams.kafka import DeliveryError, KafkaReadError, Publisher, partition_for, read_to_end
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import LETTER_MAX_BYTES, TRANSACTIONS

KEYS = ["1", "42", "household-7", "ÿ", "日本", "x" * 128, *(str(number) for number in range(500))]


@pytest.mark.broker
def test_partitions_are_as_the_broker_s_clients_choose_them(settings: Settings) -> None:
    apply_topics(settings, topics=[TRANSACTIONS])
    with Publisher(settings) as publisher:
        for key in KEYS:
            publisher.publish(TRANSACTIONS, key.encode(), b"{}")
    found = {message.key().decode(): message.partition() for message in read_to_end(settings, TRANSACTIONS)}
    assert found == {key: partition_for(key.encode(), settings.partitions) for key in KEYS}
    assert len(set(found.values())) == settings.partitions


@pytest.mark.broker
def test_readers_see_committed_records_only(settings: Settings) -> None:
    apply_topics(settings, topics=[TRANSACTIONS])
    name = kafka.topic_name(settings, TRANSACTIONS)
    writer = kafka.producer(settings, transactional_id="test")
    writer.init_transactions(10)
    for value in (b"aborted", b"committed", b"open"):
        writer.begin_transaction()
        writer.produce(name, value, key=b"1")
        writer.flush(10)
        if value == b"aborted":
            writer.abort_transaction(10)
        if value == b"committed":
            writer.commit_transaction(10)
    assert [message.value() for message in read_to_end(settings, TRANSACTIONS)] == [b"committed"]
    writer.abort_transaction(10)


@pytest.mark.broker
def test_the_publisher_raises_what_was_not_delivered(settings: Settings) -> None:
    apply_topics(settings, topics=[TRANSACTIONS])
    publisher = Publisher(settings)
    with pytest.raises(DeliveryError, match="too large"):
        publisher.publish(TRANSACTIONS, b"1", b"x" * (LETTER_MAX_BYTES + 1))
    publisher.publish(TRANSACTIONS, b"1", os.urandom(TRANSACTIONS.max_message_bytes + 1))
    with pytest.raises(DeliveryError, match=r"1 of 1 records were not delivered; the first: .*transactions"):
        publisher.flush(20)
    with publisher:
        publisher.publish(TRANSACTIONS, b"1", b"small")
    assert [message.value() for message in read_to_end(settings, TRANSACTIONS)] == [b"small"]


def test_an_unreachable_broker_is_named(offline_settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    unreachable = offline_settings.model_copy(update={"kafka_bootstrap": f"127.0.0.1:{free_port()}"})
    client = kafka.producer(unreachable)
    with pytest.raises(KafkaReadError, match="twins broker status"):
        kafka.partitions_of(client, "anything", timeout_s=1.0)
    with caplog.at_level(logging.WARNING):
        client.poll(1.0)
    assert "Connection refused" in caplog.text, "librdkafka's own log goes through logging"


@pytest.mark.broker
def test_a_missing_topic_is_said_at_once_and_how_to_create_it(settings: Settings) -> None:
    with pytest.raises(KafkaReadError, match="twins topics apply"):
        list(read_to_end(settings, TRANSACTIONS))
    with pytest.raises(KafkaReadError, match="twins topics apply"):
        Publisher(settings).publish(TRANSACTIONS, b"1", b"{}")
