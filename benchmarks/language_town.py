"""A made-up town's deployment with a language model, and questions about its customers."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from confluent_kafka import Message

from benchmarks.town import OPENING, SHELF, customers, prompt_lines
from streams.broker import DevBroker
from streams.settings import Settings
from streams.topic_admin import apply_topics
from trainer.tiny_base import SIZES, make_base
from twin_store.messages import Query
from twin_store.messages.codec import epoch_seconds, instant_of

CANDIDATES = 4
SEED = 11


def deployment(folder: Path, broker: DevBroker, in_flight: int, cache_mib: int, **changes: Any) -> Settings:
    """A small base, and settings of a worker with it on one thread; its topics are there."""
    base = make_base(SIZES["tiny"], prompt_lines(), folder / "base", seed=SEED)
    settings = Settings(
        kafka_bootstrap=broker.bootstrap,
        data_dir=folder / "data",
        topic_prefix="pool.",
        metrics_port=0,
        decider="vllm",
        vllm_model=base.folder,
        vllm_threads=1,
        vllm_eager=True,
        vllm_dtype="float32",
        vllm_cache_mib=cache_mib,
        vllm_adapters_in_batch=1,
        vllm_adapters_in_memory=1,
        worker_in_flight_max=in_flight,
        **changes,
    )
    apply_topics(settings)
    return settings


def queries_about(people: int, count: int, day: int) -> list[Query]:
    """Questions of `CANDIDATES` products of the shelf each, to customers at random, as of that day of the town."""
    dice = random.Random(SEED)
    now = datetime.now(UTC)
    at = epoch_seconds(OPENING + timedelta(days=day))
    names = customers(people)
    return [
        Query.model_validate(
            {
                "query_id": f"bench-{number}",
                "kind": "purchase",
                "customer_id": dice.choice(names),
                "as_of": instant_of(at),
                "raised_at": now,
                "deadline": now + timedelta(days=1),
                "raised_by": "request",
                "subject": {"candidates": dice.sample(SHELF, CANDIDATES)},
                "settlement": {"by": "next_trip", "until": instant_of(at + 14 * 86_400)},
            }
        )
        for number in range(count)
    ]


def id_of(message: Message) -> str:
    """Whose answer a prediction is."""
    headers = dict(message.headers() or [])
    return bytes(headers["ce_id"] or b"").decode()
