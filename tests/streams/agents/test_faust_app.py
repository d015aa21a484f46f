"""Faust speaks to Kafka as the settings say, like every other client."""

from __future__ import annotations

import ssl

import pytest
from faust.types.auth import AuthProtocol
from pydantic import SecretStr

from streams.agents.faust_app import build, credentials
from streams.agents.faust_consumer import CommittedTransport
from streams.settings import Settings


def secured(offline_settings: Settings, **changes: object) -> Settings:
    return offline_settings.model_copy(update=changes)


def test_plain_text_needs_no_credentials(offline_settings: Settings) -> None:
    assert credentials(offline_settings) is None


def test_tls_alone(offline_settings: Settings) -> None:
    found = credentials(secured(offline_settings, kafka_security_protocol="SSL"))
    assert found is not None
    assert found.protocol == AuthProtocol.SSL
    assert found.context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [("SASL_PLAINTEXT", AuthProtocol.SASL_PLAINTEXT), ("SASL_SSL", AuthProtocol.SASL_SSL)],
)
def test_user_name_and_password(offline_settings: Settings, protocol: str, expected: AuthProtocol) -> None:
    found = credentials(
        secured(
            offline_settings,
            kafka_security_protocol=protocol,
            kafka_sasl_mechanism="SCRAM-SHA-512",
            kafka_sasl_username="shop",
            kafka_sasl_password=SecretStr("secret"),
        )
    )
    assert found is not None
    assert (found.protocol, found.mechanism.value) == (expected, "SCRAM-SHA-512")
    assert (found.username, found.password) == ("shop", "secret")
    assert (found.ssl_context is None) == (protocol == "SASL_PLAINTEXT")


def test_every_bootstrap_server_is_tried_and_names_have_the_prefix(offline_settings: Settings) -> None:
    app = build(secured(offline_settings, kafka_bootstrap="127.0.0.1:1, 127.0.0.1:2"), "planner", "3")
    assert [str(url) for url in app.conf.broker] == ["kafka://127.0.0.1:1", "kafka://127.0.0.1:2"]
    assert app.conf.id == f"{offline_settings.topic_prefix}twins-planner"
    assert app.conf.consumer_group_instance_id == f"{app.conf.id}-3"
    assert isinstance(app.transport, CommittedTransport)
    assert not app.conf.web_enabled
