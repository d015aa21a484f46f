"""The runs of `benchmarks.pool`: a worker on Kafka, and the same engine without it."""

import asyncio
import random
import tempfile
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.language_town import CANDIDATES, deployment, id_of, queries_about
from benchmarks.progress import say
from benchmarks.town import publish_town
from streams.broker import DevBroker, free_port
from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.topics import PREDICTIONS, QUERIES
from streams.worker import process as worker
from streams.worker.hosts import engine_settings
from trainer.deciders.language.readout import YesNo
from trainer.deciders.vllm.figures import prefix_cache
from trainer.deciders.vllm.host import EngineHost
from trainer.deciders.vllm.model import VllmModel
from trainer.deciders.vllm.thread import EngineThread
from twin_store.messages import Query

DAYS = 180
PRIORITY = 5
SEED = 11
WAIT_S = 900.0
# Whatever the model takes, nobody answers in its stead: it is the model that is measured.
PATIENT = {"worker_busy_ms": 600_000, "worker_soft_deadline_ms": 600_000}


def measure(
    queries: int = 400, in_flight: int = 64, cache_mib: int = 96, people: int = 120
) -> dict[str, Any]:
    """Answers a second with and without Kafka, and the shares of the prefix cache."""
    with tempfile.TemporaryDirectory(prefix="twins-bench-") as folder:
        broker = DevBroker(Path(folder) / "broker", free_port())
        broker.start()
        try:
            settings = deployment(Path(folder), broker, in_flight, cache_mib, **PATIENT)
            say(f"receipts of {people} customers are folded")
            publish_town(settings, people, DAYS)
            asked = queries_about(people, queries, DAYS)
            say("an engine starts")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch and vLLM warn of each other
                return _measured(settings, asked)
        finally:
            broker.stop()


def _measured(settings: Settings, asked: Sequence[Query]) -> dict[str, Any]:
    started: list[EngineThread] = []

    def start() -> EngineThread:
        started.append(EngineThread.start(engine_settings(settings, "bench")))
        return started[-1]

    host = _RecordingHost(EngineHost(start))
    try:
        while host.inner.model is None:
            time.sleep(0.1)
        engine = started[-1]
        say(f"a worker answers {len(asked):,} queries of {CANDIDATES} products, to know its prompts")
        _answered(settings, asked, host, engine)
        prompts = list(host.prompts)
        before = _offline(engine, prompts)
        say("a worker answers them again")
        kafka = _answered(settings, [_again(each) for each in asked], host, engine)
        after = _offline(engine, host.prompts)
        say("without Kafka, in other orders")
        shuffled = list(host.prompts)
        random.Random(SEED).shuffle(shuffled)
        at_random = _offline(engine, shuffled)
        together = _offline(engine, sorted(host.prompts))
    finally:
        host.close()
    offline = max(before["answers_per_s"], after["answers_per_s"])
    return {
        "queries": len(asked),
        "prompts": len(prompts),
        "prompt_tokens_mean": round(kafka.pop("tokens") / len(prompts)),
        "worker": kafka,
        "offline_in_the_workers_order": [before, after],
        "offline_at_random": at_random,
        "offline_together": together,
        "kafka_to_offline": round(kafka["answers_per_s"] / offline, 3),
        "kafka_to_offline_at_random": round(kafka["answers_per_s"] / at_random["answers_per_s"], 3),
    }


class _RecordingHost:
    """An `EngineHost` whose prompts are kept, and when the first one came (seconds since 1970)."""

    name = "vllm"

    def __init__(self, inner: EngineHost) -> None:
        self.inner = inner
        self.prompts: list[str] = []
        self.began = 0.0
        self._models: dict[int, Any] = {}

    @property
    def version(self) -> str:
        return self.inner.version

    @property
    def why_away(self) -> str:
        return self.inner.why_away

    @property
    def model(self) -> Any:
        engine = self.inner.engine
        if engine is None:
            return None
        return self._models.setdefault(id(engine), _RecordingModel(engine, self))

    def submit(self, call: Any) -> Any:
        return self.inner.submit(call)

    def clear(self) -> None:
        """Begin again."""
        self.prompts, self.began = [], 0.0

    def close(self) -> None:
        self.inner.close()


class _RecordingModel(VllmModel):
    def __init__(self, engine: EngineThread, host: _RecordingHost) -> None:
        super().__init__(engine.engine)
        self._host = host

    async def p_yes(self, prompt: str, adapter: str | None, priority: int) -> YesNo:
        self._host.began = self._host.began or time.time()
        self._host.prompts.append(prompt)
        return await super().p_yes(prompt, adapter, priority)


def _answered(
    settings: Settings, asked: Sequence[Query], host: _RecordingHost, engine: EngineThread
) -> dict[str, Any]:
    """What a worker does with these queries, which all wait for it on Kafka."""
    engine.run(engine.engine.forget_prefixes())
    host.clear()
    tokens, hits = prefix_cache()
    with Publisher(settings) as publisher:
        for each in asked:
            publisher.publish(QUERIES, each.customer_id.encode(), each.to_wire())
    stop = threading.Event()
    running = threading.Thread(target=worker.run, args=(settings, stop), kwargs={"host": host})
    running.start()
    last = _last_of(settings, {each.query_id for each in asked})
    stop.set()
    running.join()
    asked_for, found = (after - now for after, now in zip(prefix_cache(), (tokens, hits), strict=True))
    return {
        "answers_per_s": round(len(asked) / (last - host.began), 1),
        "prompts_per_s": round(len(host.prompts) / (last - host.began), 1),
        "prefix_hits": round(found / asked_for, 3),
        "tokens": asked_for,
    }


def _last_of(settings: Settings, wanted: set[str]) -> float:
    """When the last of these answers was published, seconds since 1970."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        time.sleep(2.0)
        found = {id_of(m): m.timestamp()[1] / 1000 for m in read_to_end(settings, PREDICTIONS)}
        if wanted <= set(found):
            return max(found[query_id] for query_id in wanted)
    raise TimeoutError(f"not all of {len(wanted)} queries were answered within {WAIT_S:.0f} s")


def _offline(engine: EngineThread, prompts: Sequence[str]) -> dict[str, Any]:
    """The same prompts, all given to the engine at once."""
    model = VllmModel(engine.engine)

    async def asking() -> None:
        await asyncio.gather(*(model.p_yes(prompt, None, PRIORITY) for prompt in prompts))

    engine.run(engine.engine.forget_prefixes())
    tokens, hits = prefix_cache()
    began = time.perf_counter()
    engine.run(asking())
    seconds = time.perf_counter() - began
    asked_for, found = (after - now for after, now in zip(prefix_cache(), (tokens, hits), strict=True))
    return {
        "answers_per_s": round(len(prompts) / CANDIDATES / seconds, 1),
        "prompts_per_s": round(len(prompts) / seconds, 1),
        "prefix_hits": round(found / asked_for, 3),
    }


def _again(query: Query) -> Query:
    return query.model_copy(update={"query_id": f"{query.query_id}-again"})
