"""The settings that say who answers, and how a language model is run or reached: a part of `streams.settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings


class LanguageModelSettings(BaseSettings):
    """See `Settings`, which has these and all others."""

    worker_in_flight_max: int = Field(
        256, ge=1, le=100_000, description="Worker: most prompts at the language model; more wait in Kafka"
    )
    worker_busy_ms: int = Field(
        10_000,
        ge=0,
        le=600_000,
        description="Worker: a query that has waited so long for the language model is answered from the numbers",
    )
    worker_soft_deadline_ms: int = Field(
        30_000,
        ge=1,
        le=600_000,
        description="Worker: a query that the language model has not answered by then is answered from the numbers",
    )
    worker_words_ms: int = Field(
        120_000,
        ge=0,
        le=3_600_000,
        description="Worker: a survey or a review waits so long for a language model that is away; others never do",
    )
    decider: Literal["evidence", "vllm", "openai"] = Field(
        "evidence", description="Who answers: evidence alone, or a language model with evidence in its stead"
    )
    vllm_python: str = Field(
        "", description="Python that the worker of `decider` vllm runs in; empty: that of `make setup-vllm`"
    )
    vllm_model: Path | None = Field(None, description="Folder of the base model that vLLM serves")
    vllm_rank_max: int = Field(16, ge=1, le=512, description="vLLM: largest rank of an adapter")
    vllm_adapters_in_batch: int = Field(4, ge=1, le=256, description="vLLM: adapters that one batch may mix")
    vllm_adapters_in_memory: int = Field(16, ge=1, le=10_000, description="vLLM: adapters in host memory")
    vllm_tokens_max: int | None = Field(
        None, ge=16, description="vLLM: tokens of prompt and answer; unset: what the model can"
    )
    vllm_cache_mib: int | None = Field(
        None, ge=16, description="vLLM: size of the key-value cache; unset: what is left of the memory"
    )
    vllm_threads: int | None = Field(None, ge=1, description="vLLM on a CPU: threads; unset: all")
    vllm_eager: bool = Field(False, description="vLLM: no compiling, which starts sooner and answers slower")
    vllm_dtype: str = Field("auto", description="vLLM: type of the weights; auto: as they were saved")
    openai_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s@?#]+$",
        description="Language model on a server with OpenAI's API: its root, such as https://models.example/v1",
    )
    openai_api_key: SecretStr | None = Field(
        None, description="API key of that server; only sent over https, or on this machine"
    )
    openai_model: str = Field("base", min_length=1, description="The base model's name on that server")
    openai_dialect: Literal["vllm", "openai"] = Field(
        "vllm", description="vllm: exact probabilities and constrained choices; openai: any other server"
    )
    openai_priorities: bool = Field(
        False, description="Send priorities; the server must schedule by them (vLLM: --scheduling-policy)"
    )
    openai_logprobs: int = Field(
        20, ge=1, le=20, description="Most likely tokens to ask a server for that is not vLLM; OpenAI: 5"
    )
    openai_tokens_max: int = Field(
        4_096, ge=64, le=1_048_576, description="Tokens of prompt and answer together on that server"
    )
    openai_tokenizer: Path | None = Field(
        None, description="The model's tokenizer.json, to count tokens; unset: bytes are counted, a bound"
    )
    openai_ca_location: Path | None = Field(
        None, description="CA certificates (PEM) that sign that server's; unset: the public ones"
    )
    openai_connect_timeout_s: float = Field(2.0, gt=0, le=60, description="To reach that server")
    openai_timeout_s: float = Field(
        30.0, gt=0, le=600, description="For one answer of that server, retries and waiting included"
    )
    openai_in_flight_max: int = Field(
        64, ge=1, le=4_096, description="Questions at that server at a time; others wait"
    )

    @model_validator(mode="after")
    def _check_language_model(self) -> Self:
        if self.vllm_adapters_in_batch > self.vllm_adapters_in_memory:
            raise ValueError("vllm_adapters_in_batch must not exceed vllm_adapters_in_memory")
        return self
