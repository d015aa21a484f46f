"""Settings: environment over file over default, sources told, secrets masked, errors that name the place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.errors import UsageError
from streams.settings import Settings, kafka_client_config, load_settings, setting_sources


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_environment_wins_over_file_and_file_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("twins.toml").write_text('partitions = 8\ncurrency = "EUR"\n')
    monkeypatch.setenv("TWINS_PARTITIONS", "16")
    settings = load_settings()
    assert (settings.partitions, settings.currency, settings.replication_factor) == (16, "EUR", 1)
    sources = setting_sources(settings)
    assert sources["partitions"] == "TWINS_PARTITIONS"
    assert sources["currency"] == "twins.toml"
    assert sources["replication_factor"] == "default"


def test_the_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "else.toml").write_text('data_dir = "/srv/twins"\n')
    monkeypatch.setenv("TWINS_CONFIG", str(tmp_path / "else.toml"))
    assert load_settings().lake == "/srv/twins/lake"
    monkeypatch.setenv("TWINS_CONFIG", str(tmp_path / "gone.toml"))
    with pytest.raises(UsageError, match=r"TWINS_CONFIG.*gone\.toml"):
        load_settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().partitions = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TWINS_PARTITIONS", "many", "environment variable TWINS_PARTITIONS: .*integer"),
        ("TWINS_CURRENCY", "dollars", "environment variable TWINS_CURRENCY: .*pattern"),
        (
            "TWINS_KAFKA_BOOTSTRAP",
            "localhost",
            "environment variable TWINS_KAFKA_BOOTSTRAP: 'localhost' is not host:port",
        ),
        ("TWINS_PARTITION", "4", "unknown environment variable TWINS_PARTITION"),
        (
            "TWINS_KAFKA_SECURITY_PROTOCOL",
            "SASL_SSL",
            "needs TWINS_KAFKA_SASL_MECHANISM, TWINS_KAFKA_SASL_USERNAME",
        ),
        ("TWINS_KAFKA_SSL_KEY_LOCATION", "/key.pem", "go together"),
    ],
)
def test_a_bad_variable_is_named(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=said):
        load_settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partitions = 0", "partitions in twins.toml: .*greater than or equal to 1"),
        ("partition = 4", "twins.toml: unknown setting partition"),
        ("partitions = ", "twins.toml: not valid TOML"),
    ],
)
def test_a_bad_file_is_named(text: str, said: str) -> None:
    Path("twins.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        load_settings()


def test_a_bad_secret_is_not_echoed() -> None:
    Path("twins.toml").write_text("kafka_sasl_password = [1234]\n")
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert "1234" not in str(caught.value)


def test_security_reaches_the_client() -> None:
    settings = Settings.model_validate(
        {
            "kafka_bootstrap": "a.example:9093,b.example:9093",
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": "SCRAM-SHA-512",
            "kafka_sasl_username": "twins",
            "kafka_sasl_password": "hush",
            "kafka_ssl_ca_location": "/ca.pem",
            "kafka_ssl_certificate_location": "/me.pem",
            "kafka_ssl_key_location": "/me.key",
            "kafka_ssl_key_password": "quiet",
        }
    )
    assert kafka_client_config(settings) == {
        "bootstrap.servers": "a.example:9093,b.example:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "twins",
        "sasl.password": "hush",
        "ssl.ca.location": "/ca.pem",
        "ssl.certificate.location": "/me.pem",
        "ssl.key.location": "/me.key",
        "ssl.key.password": "quiet",
    }


def test_plain_settings_ask_for_nothing_else() -> None:
    assert set(kafka_client_config(Settings())) == {"bootstrap.servers", "security.protocol"}


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_twins_config_shows_sources_and_masks_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINS_PSEUDONYM_KEY", "never-print-me")
    for arguments in (["config"], ["config", "--json"]):
        done = _twins(*arguments)
        assert done.returncode == 0, done.stderr
        assert "never-print-me" not in done.stdout + done.stderr
        assert "TWINS_PSEUDONYM_KEY" in done.stdout
    shown = json.loads(done.stdout)
    assert (shown["pseudonym_key"]["value"], shown["pseudonym_key"]["source"]) == (
        "*" * 10,
        "TWINS_PSEUDONYM_KEY",
    )
    assert (shown["partitions"]["value"], shown["partitions"]["source"]) == (4, "default")


def test_a_wrong_setting_is_one_line_and_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINS_PARTITIONS", "many")
    done = _twins("config")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("twins: environment variable TWINS_PARTITIONS:")
    assert done.stderr.count("\n") == 1


def _twins(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from streams.cli.main import main; main()", *arguments]
    return subprocess.run(program, capture_output=True, text=True, check=False)
