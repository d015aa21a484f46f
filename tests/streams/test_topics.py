"""The topic registry, and `apply_topics` on the real broker: create, find the same, change, refuse."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from streams import kafka, topic_admin
from streams.broker import free_port
from streams.settings import Settings
from streams.topic_admin import Difference, TopicError, apply_topics, topic_config
from streams.topics import CLICKSTREAM, DRIFT, PRODUCT_DELTAS, STATE, TOPICS, TRANSACTIONS


def test_names_are_unique_and_owners_and_readers_known() -> None:
    names = [topic.name for topic in TOPICS]
    assert len(set(names)) == len(names)
    assert all(topic.owner and topic.readers and topic.description for topic in TOPICS)


def test_keys_are_fields_of_the_message() -> None:
    assert TRANSACTIONS.key_fields == ("customer_id",)
    assert CLICKSTREAM.key_fields == ("customer_id", "anonymous_id")
    assert STATE.key_fields == () == PRODUCT_DELTAS.key_fields
    unkeyed = {topic.name for topic in TOPICS if topic.message and not topic.key_fields}
    assert unkeyed == {"twins.late", "twins.dead-letters"}, "these are keyed as the original"


def test_topics_are_found_by_the_name_of_the_deployment() -> None:
    settings = Settings(topic_prefix="shop7.")
    assert kafka.topic_name(settings, STATE) == "shop7.twins.state"
    assert kafka.topic_called(settings, "shop7.twins.state") is STATE
    assert kafka.topic_called(settings, "twins.state") is None
    assert kafka.topic_called(settings, "shop7.other") is None


def test_replicated_deployments_need_two_replicas_in_step() -> None:
    assert topic_config(STATE, Settings(replication_factor=3))["min.insync.replicas"] == "2"
    assert topic_config(STATE, Settings())["min.insync.replicas"] == "1"


@pytest.mark.broker
def test_apply_creates_then_finds_the_same_then_changes_what_differs(settings: Settings) -> None:
    planned = apply_topics(settings, dry_run=True)
    assert {change.action for change in planned} == {"created"}
    assert {change.action for change in apply_topics(settings)} == {"created"}, "a dry run creates nothing"
    assert {change.action for change in apply_topics(settings)} == {"same"}

    name = kafka.topic_name(settings, TRANSACTIONS)
    _set(settings, name, "retention.ms", "1000")
    wanted = Difference("retention.ms", "1000", str(TRANSACTIONS.retention_ms))
    for dry_run in (True, False):
        changed = [change for change in apply_topics(settings, dry_run=dry_run) if change.action != "same"]
        assert [(change.name, change.action, change.differences) for change in changed] == [
            (name, "changed", (wanted,))
        ]
    assert {change.action for change in apply_topics(settings)} == {"same"}


@pytest.mark.broker
def test_co_partitioned_topics_are_never_grown(settings: Settings) -> None:
    apply_topics(settings)
    for partitions in (settings.partitions + 1, settings.partitions - 1):
        other = settings.model_copy(update={"partitions": partitions})
        with pytest.raises(
            TopicError, match=f"most customers would move .* TWINS_PARTITIONS={settings.partitions}"
        ):
            apply_topics(other)
    assert {change.action for change in apply_topics(settings)} == {"same"}, "nothing was half changed"


@pytest.mark.broker
def test_a_topic_with_a_count_of_its_own_grows_but_never_shrinks(settings: Settings) -> None:
    apply_topics(settings, topics=[DRIFT])
    grown = dataclasses.replace(DRIFT, partitions=3)
    change = apply_topics(settings, topics=[grown])[0]
    assert change.differences == (Difference("partitions", "1", "3"),)
    assert apply_topics(settings, topics=[grown])[0].action == "same"
    with pytest.raises(TopicError, match="cannot take partitions away"):
        apply_topics(settings, topics=[DRIFT])


@pytest.mark.broker
def test_twins_topics_apply_reports_in_both_forms(settings: Settings) -> None:
    planned = json.loads(_twins(settings, "topics", "apply", "--dry-run", "--json"))
    assert [row["action"] for row in planned] == ["created"] * len(TOPICS)
    created = _twins(settings, "topics", "apply").splitlines()
    assert created[0] == f"created  {kafka.topic_name(settings, TRANSACTIONS)}"
    assert all(line.startswith("same") for line in _twins(settings, "topics", "apply").splitlines())


def test_without_a_broker_the_error_says_what_to_do(
    offline_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_admin, "ADMIN_TIMEOUT_S", 1.0)
    unreachable = offline_settings.model_copy(update={"kafka_bootstrap": f"127.0.0.1:{free_port()}"})
    with pytest.raises(TopicError, match="twins broker status"):
        apply_topics(unreachable)


def _set(settings: Settings, name: str, setting: str, value: str) -> None:
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    admin = kafka.admin(settings)  # kept by name: a client that is collected drops its requests
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)
    asked = ConfigResource(ResourceType.TOPIC, name)
    while admin.describe_configs([asked])[asked].result(10)[setting].value != value:
        time.sleep(0.05)


def _twins(settings: Settings, *arguments: str) -> str:
    environment = os.environ | {
        "TWINS_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "TWINS_TOPIC_PREFIX": settings.topic_prefix,
    }
    command = [Path(sys.executable).with_name("twins"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
