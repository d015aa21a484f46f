"""The local broker: starts, answers transactions, survives a kill, stops cleanly, says what it lacks."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams import broker as broker_module
from streams.broker import BrokerError, DevBroker, dev_broker, free_port
from streams.settings import Settings, kafka_client_config


@pytest.mark.broker
def test_a_transaction_commits_on_the_shared_broker(broker: DevBroker, settings: Settings) -> None:
    client = kafka_client_config(settings)
    topic = f"{settings.topic_prefix}transactions"
    _create_topic(client, topic)
    producer = Producer(client | {"transactional.id": uuid.uuid4().hex})
    producer.init_transactions(10)
    for outcome in ("aborted", "committed"):
        producer.begin_transaction()
        producer.produce(topic, outcome)
        if outcome == "aborted":
            producer.abort_transaction(10)
        else:
            producer.commit_transaction(10)
    reader = client | {"isolation.level": "read_committed", "auto.offset.reset": "earliest"}
    consumer = Consumer(reader | {"group.id": topic})
    consumer.subscribe([topic])
    try:
        seen = consumer.consume(1, timeout=20)
    finally:
        consumer.close()
    assert [message.value() for message in seen] == [b"committed"]


@pytest.mark.broker
def test_what_was_written_survives_kill_and_stop(tmp_path: Path) -> None:
    own = DevBroker(tmp_path, free_port())
    try:
        first = own.start()
        assert own.start().pid == first.pid, "starting a running broker leaves it alone"
        client: dict[str, Any] = {"bootstrap.servers": own.bootstrap}
        _create_topic(client, "kept")
        producer = Producer(client)
        producer.produce("kept", b"x")
        assert producer.flush(10) == 0

        assert own.kill()
        assert own.status().state == "stopped"
        own.start()
        assert DevBroker(tmp_path, own.port).status().state == "running", (
            "another object sees the same broker"
        )
        assert "kept" in AdminClient(client).list_topics(timeout=10).topics

        assert own.stop()
        assert not own.stop(), "there is none any more"
        assert own.pid() is None
    finally:
        own.stop()


def test_a_stale_pid_file_is_not_a_broker(tmp_path: Path) -> None:
    (tmp_path / "broker.pid").write_text(str(os.getpid()))
    assert DevBroker(tmp_path, free_port()).status().state == "stopped"
    (tmp_path / "broker.pid").write_text("not a number")
    assert not DevBroker(tmp_path, free_port()).stop()


def test_missing_java_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match=r"Java 17.*openjdk-17.*TWINS_KAFKA_BOOTSTRAP"):
        DevBroker(tmp_path / "data", free_port()).start()


def test_missing_maven_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(BrokerError, match=r"Maven.*apt-get install maven.*TWINS_KAFKA_BOOTSTRAP"):
        broker_module.fetch_jars()


@pytest.mark.broker
def test_a_taken_port_is_said(broker: DevBroker, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=f"port {broker.port} is already taken"):
        DevBroker(tmp_path, broker.port).start()


def test_a_remote_broker_is_not_ours_to_start(offline_settings: Settings) -> None:
    remote = offline_settings.model_copy(update={"kafka_bootstrap": "kafka.example:9092"})
    with pytest.raises(BrokerError, match="not ours to start or stop"):
        dev_broker(remote)


def _create_topic(client: dict[str, Any], name: str) -> None:
    admin = AdminClient(client)  # must outlive the call: the future fails when its client is collected
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(10)
