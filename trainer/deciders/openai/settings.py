"""How a server is reached, and what it can do."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, Self
from urllib.parse import urlsplit

from pydantic import SecretStr

from trainer.deciders.language.breaker import BreakerSettings
from trainer.deciders.openai.retries import RetrySettings

Dialect = Literal["vllm", "openai"]


class Values(Protocol):
    """The settings of a deployment that matter here, by the names they have there."""

    @property
    def openai_url(self) -> str | None: ...
    @property
    def openai_api_key(self) -> SecretStr | None: ...
    @property
    def openai_model(self) -> str: ...
    @property
    def openai_dialect(self) -> Dialect: ...
    @property
    def openai_priorities(self) -> bool: ...
    @property
    def openai_logprobs(self) -> int: ...
    @property
    def openai_tokens_max(self) -> int: ...
    @property
    def openai_tokenizer(self) -> Path | None: ...
    @property
    def openai_ca_location(self) -> Path | None: ...
    @property
    def openai_connect_timeout_s(self) -> float: ...
    @property
    def openai_timeout_s(self) -> float: ...
    @property
    def openai_in_flight_max(self) -> int: ...


@dataclass(frozen=True)
class OpenAISettings:
    """One server and its model.

    Attributes:
        url: the API's root, such as `https://models.example/v1`.
        model: the name of the base model there; adapters are further names.
        api_key: sent as a bearer token. It is in no message, no log and no `repr`.
        dialect: `vllm` asks for exact log probabilities and constrained choices; `openai` makes do without.
        priorities: whether the server schedules by priority (vLLM: `--scheduling-policy priority`).
        logprobs: how many of the most likely first tokens to ask for; servers limit it (OpenAI to 5, vLLM to 20).
        tokens_max: of prompt and answer together.
        tokenizer: the model's `tokenizer.json`, to count tokens exactly; None to bound them by the text's bytes.
        authorities: a file of certificates (PEM) that sign the server's; None for the ones known to everybody.
        connect_s: to reach the server.
        total_s: for one answer, everything included: waiting for a place, retries, and waiting between them.
        in_flight_max: questions at the server at a time; others wait.
        body_max: bytes of an answer.
    """

    url: str
    model: str
    api_key: SecretStr | None = None
    dialect: Dialect = "vllm"
    priorities: bool = False
    logprobs: int = 20
    tokens_max: int = 4_096
    tokenizer: Path | None = None
    authorities: Path | None = None
    connect_s: float = 2.0
    total_s: float = 30.0
    in_flight_max: int = 64
    body_max: int = 1 << 20
    retries: RetrySettings = field(default_factory=RetrySettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)

    def __post_init__(self) -> None:
        """Raises `ValueError` for what cannot work, and for a key that would go over the net in the clear."""
        if not self.model:
            raise ValueError("the model has no name")
        if min(self.logprobs, self.tokens_max, self.in_flight_max, self.body_max) < 1:
            raise ValueError("logprobs, tokens_max, in_flight_max and body_max must be at least 1")
        if min(self.connect_s, self.total_s) <= 0:
            raise ValueError("times must be above 0")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the server's URL is not http://... or https://...")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("the server's URL must be without user, password, query and fragment")
        if self.api_key is not None:
            if (
                not self.api_key.get_secret_value().isascii()
                or not self.api_key.get_secret_value().isprintable()
            ):
                raise ValueError("the API key has characters that no header can carry")
            if parts.scheme == "http" and not _is_loopback(parts.hostname):
                raise ValueError("the API key would go over the net in the clear: use https, or no key")

    @classmethod
    def of(cls, values: Values) -> Self:
        """From a deployment's settings. Raises `ValueError` if they do not name a server, or as the constructor."""
        if values.openai_url is None:
            raise ValueError("openai_url is not set: there is no server to ask")
        return cls(
            url=values.openai_url,
            model=values.openai_model,
            api_key=values.openai_api_key,
            dialect=values.openai_dialect,
            priorities=values.openai_priorities,
            logprobs=values.openai_logprobs,
            tokens_max=values.openai_tokens_max,
            tokenizer=values.openai_tokenizer,
            authorities=values.openai_ca_location,
            connect_s=values.openai_connect_timeout_s,
            total_s=values.openai_timeout_s,
            in_flight_max=values.openai_in_flight_max,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
