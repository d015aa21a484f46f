"""A deployment's settings are what the model behind HTTP is made of; its key is in no log and no listing."""

from __future__ import annotations

import logging

import pytest
from pydantic import SecretStr, ValidationError

from streams.settings import Settings
from streams.telemetry.logs import TextFormatter
from trainer.deciders.openai.settings import OpenAISettings

KEY = "sk-4f1d0c7a-never-shown"


def test_a_deployments_settings_make_a_server() -> None:
    settings = Settings(
        openai_url="https://models.example/v1",
        openai_api_key=SecretStr(KEY),
        openai_model="shop",
        openai_timeout_s=7,
        openai_in_flight_max=9,
        openai_dialect="openai",
        openai_logprobs=5,
    )
    made = OpenAISettings.of(settings)
    assert (made.url, made.model, made.total_s, made.in_flight_max) == (
        "https://models.example/v1",
        "shop",
        7,
        9,
    )
    assert (made.dialect, made.logprobs) == ("openai", 5)
    assert made.api_key is not None
    assert made.api_key.get_secret_value() == KEY
    assert KEY not in f"{made!r} {settings!r}"


def test_without_a_url_there_is_no_server() -> None:
    with pytest.raises(ValueError, match="openai_url is not set"):
        OpenAISettings.of(Settings())


def test_the_defaults_are_those_of_the_trainer() -> None:
    assert OpenAISettings.of(Settings(openai_url="http://vllm:8000/v1")) == OpenAISettings(
        "http://vllm:8000/v1", "base"
    )


def test_the_key_is_cut_out_of_logs() -> None:
    record = logging.LogRecord("httpcore", logging.DEBUG, "", 1, "Bearer %s", (KEY,), None)
    settings = Settings(openai_api_key=SecretStr(KEY))
    assert KEY not in TextFormatter("worker", settings).format(record)


@pytest.mark.parametrize(
    "url", ["models.example", "https://user:word@models.example/v1", "https://m/v1?key=1"]
)
def test_urls_with_secrets_in_them_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Settings(openai_url=url)
