"""Creates the topics of the registry and brings existing ones into line, saying what differed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from streams import kafka
from streams.errors import TwinsError
from streams.settings import Settings
from streams.topics import DAY_MS, TOPICS, Topic

ADMIN_TIMEOUT_S = 30.0
WEEK_MS = 7 * DAY_MS


class TopicError(TwinsError):
    """A topic could not be created or may not be changed as asked."""


@dataclass(frozen=True)
class Difference:
    """One setting of a topic that is not as the registry wants it."""

    setting: str
    old: str
    new: str


@dataclass(frozen=True)
class TopicChange:
    """What was done, or with a dry run would be done, to one topic. `name` has the deployment's prefix."""

    name: str
    action: Literal["created", "changed", "same"]
    differences: tuple[Difference, ...] = ()


def topic_config(topic: Topic, settings: Settings) -> dict[str, str]:
    """The Kafka topic settings that the registry asks for."""
    config = {
        "cleanup.policy": topic.cleanup,
        "max.message.bytes": str(topic.max_message_bytes),
        # Retention counts from arrival: old receipts that are replayed must not expire as they come in.
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": "2" if settings.replication_factor >= 3 else "1",
    }
    if "delete" in topic.cleanup:
        config["retention.ms"] = str(topic.retention_ms)
    if "compact" in topic.cleanup:
        # What was overwritten or erased is gone from disk within a day or so, and a reader that was away for
        # less than a week still sees the tombstones.
        config |= {"max.compaction.lag.ms": str(DAY_MS), "delete.retention.ms": str(WEEK_MS)}
    return config | dict(topic.config)


def partition_count(topic: Topic, settings: Settings) -> int:
    """Partitions that the registry asks for."""
    return topic.partitions or settings.partitions


def apply_topics(
    settings: Settings, *, topics: Sequence[Topic] = TOPICS, dry_run: bool = False
) -> list[TopicChange]:
    """Create missing topics and change what differs; running it again changes nothing.

    Everything is checked before anything is changed, and the call returns when Kafka shows the result. Raises
    `TopicError` when a partition count would have to change in a way that loses records or moves keys away
    from their state, or when Kafka refuses.
    """
    admin = kafka.admin(settings)
    changes = _plan(admin, settings, topics)
    if not dry_run and any(change.action != "same" for change in changes):
        created = {change.name for change in changes if change.action == "created"}
        _create(admin, [topic for topic in topics if kafka.topic_name(settings, topic) in created], settings)
        _change(admin, [change for change in changes if change.action == "changed"])
        _wait_until_applied(admin, settings, topics)
    return changes


def _plan(admin: AdminClient, settings: Settings, topics: Sequence[Topic]) -> list[TopicChange]:
    """What would have to be done to each topic."""
    existing = _partition_counts(admin)
    names = [kafka.topic_name(settings, topic) for topic in topics]
    configs = _current_configs(admin, [name for name in names if name in existing])
    changes = []
    for topic, name in zip(topics, names, strict=True):
        if name in existing:
            differences = (
                *_partition_difference(topic, name, existing[name], settings),
                *_config_differences(topic_config(topic, settings), configs[name]),
            )
            changes.append(TopicChange(name, "changed" if differences else "same", differences))
        else:
            changes.append(TopicChange(name, "created"))
    return changes


def _wait_until_applied(admin: AdminClient, settings: Settings, topics: Sequence[Topic]) -> None:
    """The controller answers before the brokers' own view has caught up."""
    deadline = time.monotonic() + ADMIN_TIMEOUT_S
    while True:
        lacking = [change.name for change in _plan(admin, settings, topics) if change.action != "same"]
        if not lacking:
            return
        if time.monotonic() > deadline:
            raise TopicError(
                f"Kafka took the changes to {', '.join(lacking)} but does not show them; apply again"
            )
        time.sleep(0.05)


def _partition_difference(topic: Topic, name: str, current: int, settings: Settings) -> Iterator[Difference]:
    wanted = partition_count(topic, settings)
    if current == wanted:
        return
    if topic.partitions is None:
        raise TopicError(
            f"{name} has {current} partitions and TWINS_PARTITIONS asks for {wanted}: with another count "
            "most customers would move to a partition that holds neither their twin nor their history. Set "
            f"TWINS_PARTITIONS={current}, or take a new TWINS_TOPIC_PREFIX and replay the events into it"
        )
    if wanted < current:
        raise TopicError(
            f"{name} has {current} partitions and the registry asks for {wanted}: Kafka cannot take "
            "partitions away. Delete the topic, if its records may go, and apply again"
        )
    yield Difference("partitions", str(current), str(wanted))


def _config_differences(wanted: dict[str, str], current: dict[str, str]) -> Iterator[Difference]:
    for setting, value in wanted.items():
        if _canonical(current.get(setting, "")) != _canonical(value):
            yield Difference(setting, current.get(setting, ""), value)


def _canonical(value: str) -> list[str]:
    """Kafka may return a list such as `compact,delete` in another order."""
    return sorted(part.strip() for part in value.split(","))


def _partition_counts(admin: AdminClient) -> dict[str, int]:
    try:
        found = admin.list_topics(timeout=ADMIN_TIMEOUT_S).topics
    except KafkaException as error:
        raise TopicError(
            f"Kafka does not answer: {error.args[0].str()}; is it up? (`twins broker status`)"
        ) from error
    return {name: len(metadata.partitions) for name, metadata in found.items()}


def _current_configs(admin: AdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in names])
    configs = {}
    for resource, future in asked.items():
        entries = _result(future, resource.name, "read the settings of")
        configs[resource.name] = {entry.name: entry.value or "" for entry in entries.values()}
    return configs


def _create(admin: AdminClient, topics: list[Topic], settings: Settings) -> None:
    if not topics:
        return
    wanted = [
        NewTopic(
            kafka.topic_name(settings, topic),
            num_partitions=partition_count(topic, settings),
            replication_factor=settings.replication_factor,
            config=topic_config(topic, settings),
        )
        for topic in topics
    ]
    for name, future in admin.create_topics(wanted, operation_timeout=ADMIN_TIMEOUT_S).items():
        _result(future, name, "create")


def _change(admin: AdminClient, changes: list[TopicChange]) -> None:
    resources, grown = [], []
    for change in changes:
        entries = []
        for difference in change.differences:
            if difference.setting == "partitions":
                grown.append(NewPartitions(change.name, int(difference.new)))
            else:
                entries.append(
                    ConfigEntry(
                        difference.setting, difference.new, incremental_operation=AlterConfigOpType.SET
                    )
                )
        if entries:
            resources.append(ConfigResource(ResourceType.TOPIC, change.name, incremental_configs=entries))
    if resources:
        for resource, future in admin.incremental_alter_configs(resources).items():
            _result(future, resource.name, "change the settings of")
    if grown:
        for name, future in admin.create_partitions(grown).items():
            _result(future, name, "add partitions to")


def _result(future: Future[Any], name: str, deed: str) -> Any:
    try:
        return future.result(timeout=ADMIN_TIMEOUT_S)
    except KafkaException as error:
        raise TopicError(f"could not {deed} topic {name}: {error.args[0].str()}") from error
