"""A Faust application on this deployment's Kafka, with every option that matters written down.

Three things of Faust 0.15 are put right here. Under `at_least_once` it reads uncommitted records, so the profiles of
the updater's aborted transactions would be seen. It finds the offset to commit by looking for gaps, and where a
transaction's marker lies right behind a partition's first record it never commits again. And after a rebalance it
empties its queues once more when records flow already, which loses those.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from faust.types.auth import CredentialsT
from mode.utils.futures import notify
from yarl import URL

from streams.kafka import group_name, topic_name
from streams.settings import Settings
from streams.topics import LETTER_MAX_BYTES, MESSAGE_MAX_BYTES, MIB, Topic

READ_COMMITTED = "read_committed"
COMMIT_INTERVAL_S = 1.0
REQUEST_TIMEOUT_S = 90.0
_log = logging.getLogger("faust.streams")  # it says what Faust says, so it is as loud as Faust


class _CommittedThread(driver.AIOKafkaConsumerThread):
    """The thread that reads: committed records only."""

    logger = _log

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust passes no such option on, and aiokafka reads it when it starts.
        consumer._isolation_level = READ_COMMITTED
        return consumer


class _CommittedConsumer(driver.Consumer):
    """Commits what agents acknowledged, record by record in order; each partition has one agent, one at a time."""

    logger = _log

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._done: dict[TP, int] = {}

    def _new_consumer_thread(self) -> _CommittedThread:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)

    def ack(self, message: Message) -> bool:
        """The record is dealt with, or was thrown away: then it was never `tracked` and comes again."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        if message.tracked:
            self._done[message.tp] = message.offset + 1
        notify(self._waiting_for_ack)
        return True

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Faust resumes partitions, seeks to what is committed, and then empties its queues.

        Records that come in between would be gone for good: not even counted as read until a later one is. So
        nothing may flow until Faust says so, which it does right after.
        """
        self.stop_flow()
        super().resume_partitions(tps)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commits, then forgets what was done in these partitions."""
        await super().on_partitions_revoked(revoked)
        for partition in revoked:
            self._done.pop(partition, None)

    def _filter_tps_with_pending_acks(self, topics: Collection[TP | str] | None = None) -> Iterator[TP]:
        return (tp for tp in list(self._done) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._done.get(tp)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Gaps mean nothing to `_new_offset`."""


class CommittedTransport(driver.Transport):
    """Faust's Kafka transport, reading committed records only."""

    Consumer = _CommittedConsumer


def build(settings: Settings, name: str, member: str) -> faust.App:
    """An application in consumer group `name` (without prefix), not started and not bound to a loop.

    `member` tells those of a group apart. It is a static member: one that is back within the session timeout gets
    its partitions back at once.
    """
    urls = [URL(f"kafka://{server.strip()}") for server in settings.kafka_bootstrap.split(",")]
    app = faust.App(
        group_name(settings, name),
        broker=urls,
        broker_credentials=credentials(settings),
        broker_client_id=group_name(settings, name),
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_heartbeat_interval=min(3.0, settings.session_timeout_ms / 3000),
        broker_request_timeout=max(REQUEST_TIMEOUT_S, settings.session_timeout_ms / 1000),
        broker_commit_interval=COMMIT_INTERVAL_S,
        consumer_group_instance_id=f"{group_name(settings, name)}-{member}",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=MESSAGE_MAX_BYTES,
        producer_acks=-1,
        producer_compression_type="lz4",
        producer_linger=0.005,
        producer_max_batch_size=MIB,
        producer_max_request_size=LETTER_MAX_BYTES,
        processing_guarantee="at_least_once",
        # Offsets and queries are kept right by the ledger; see `rounds`.
        store="memory://",
        table_standby_replicas=0,  # a standby of a table in memory holds all customers twice
        stream_wait_empty=True,
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication_factor,
        topic_disable_leader=True,
        datadir=settings.data_dir / name,
        web_enabled=False,
        autodiscover=False,
    )
    app.transport = CommittedTransport(urls, app)
    return app


def raw_topic(app: faust.App, settings: Settings, *topics: Topic, **options: Any) -> faust.TopicT:
    """Topics as bytes: what they hold is decoded where a bad message can be caught."""
    return app.topic(
        *(topic_name(settings, topic) for topic in topics),
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        **options,
    )


def credentials(settings: Settings) -> CredentialsT | None:
    """How Faust proves who it is, from the same settings as every other client; None for plain text."""
    protocol = settings.kafka_security_protocol
    context = _tls(settings) if protocol.endswith("SSL") else None
    if protocol.startswith("SASL"):
        password = settings.kafka_sasl_password
        return faust.SASLCredentials(
            username=settings.kafka_sasl_username,
            password=None if password is None else password.get_secret_value(),
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)


def _tls(settings: Settings) -> ssl.SSLContext:
    authority = settings.kafka_ssl_ca_location
    context = ssl.create_default_context(cafile=None if authority is None else str(authority))
    certificate, key = settings.kafka_ssl_certificate_location, settings.kafka_ssl_key_location
    if certificate is not None and key is not None:
        password = settings.kafka_ssl_key_password
        context.load_cert_chain(
            str(certificate), str(key), None if password is None else password.get_secret_value()
        )
    return context
