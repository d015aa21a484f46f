"""A Faust application on this deployment's Kafka, with every option that matters written down."""

from __future__ import annotations

import ssl
from typing import Any

import faust
from faust.types.auth import CredentialsT
from yarl import URL

from streams.agents.faust_consumer import CommittedTransport
from streams.kafka import group_name, topic_name
from streams.settings import Settings
from streams.topics import LETTER_MAX_BYTES, MESSAGE_MAX_BYTES, MIB, Topic

COMMIT_INTERVAL_S = 1.0
REQUEST_TIMEOUT_S = 90.0


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
