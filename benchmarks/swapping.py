"""The work of `benchmarks.swap`: questions that are asked all the time, while adapters come and go."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.made_adapters import GOODS, adapter_files, hear
from benchmarks.progress import say
from streams.adapters.admission import admitted
from streams.adapters.desk import ReleaseDesk
from streams.adapters.service import AdapterService
from streams.broker import DevBroker, free_port
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import ADAPTER_STATES, ADAPTERS
from trainer.base_model import BaseModel
from trainer.deciders.vllm.adapter_host import VllmAdapters
from trainer.deciders.vllm.settings import EngineSettings
from trainer.deciders.vllm.thread import EngineThread
from trainer.publish_adapter import publish_adapter
from trainer.registry import Registry
from trainer.tiny_base import SIZES, make_base

SEGMENTS = ("families", "singles", "seniors", "students")
MIXED = 8
SPELLS = 4  # with swaps, and as many without
ROUNDS = 5
ROUND_QUESTIONS = 400
WARM_UP_S = 3.0
RANK = 8
UNTIL = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass
class Spell:
    """The questions of one spell: how long each took, in milliseconds."""

    took_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Asker:
    """Asks one question after the other, on the engine's loop, by as many questioners as it is told."""

    def __init__(self, engine: EngineThread, prompts: list[list[int]]) -> None:
        self._engine = engine
        self._prompts = prompts
        self._next = 0
        self.spell = Spell()

    @contextlib.contextmanager
    def asking(self, service: AdapterService, questioners: int) -> Iterator[None]:
        """Segments by chance, for as long as this lasts. Raises what a question raised."""
        over = asyncio.Event()

        async def ask_on(seed: int) -> None:
            chance = random.Random(seed)
            while not over.is_set():
                served = service.routing(chance.choice(SEGMENTS), "ada")
                before = time.perf_counter()
                await self._ask(None if served is None else served.name)
                self.spell.took_ms.append(1_000 * (time.perf_counter() - before))

        async def ask_all() -> None:
            await asyncio.gather(*(ask_on(seed) for seed in range(questioners)))

        async def end() -> None:
            over.set()

        asked = self._engine.submit(ask_all())
        try:
            yield
        finally:
            self._engine.run(end())
            asked.result()

    def answers_per_s(self, names: list[str]) -> float:
        """Of a round of questions that are all there at once, to these adapters in turn."""

        async def ask_all() -> None:
            await asyncio.gather(*(self._ask(names[each % len(names)]) for each in range(ROUND_QUESTIONS)))

        before = time.perf_counter()
        self._engine.run(ask_all())
        return ROUND_QUESTIONS / (time.perf_counter() - before)

    async def _ask(self, name: str | None) -> None:
        self._next += 1
        await self._engine.engine.p_yes(self._prompts[self._next % len(self._prompts)], name)


def measure_swaps(swaps: int, questioners: int) -> dict[str, Any]:
    """Milliseconds a question with and without swaps, and answers a second of one adapter and of eight mixed."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and vLLM warn of each other
        root = Path(folder)
        base = make_base(SIZES["tiny"], GOODS, root / "base", seed=8)
        say("the engine starts")
        settings = EngineSettings(
            base.folder, root / "copies", adapters_in_batch=MIXED, adapters_in_memory=MIXED + 1, rank_max=RANK,
            eager=True, dtype="float32", tokens_max=1_024, cache_mib=256, threads=1,
        )  # fmt: skip
        engine = EngineThread.start(settings)
        broker = DevBroker(root / "broker", free_port())
        broker.start()
        try:
            return _measure(root, base, engine, broker, swaps, questioners)
        finally:
            broker.stop()
            engine.stop()


def _measure(
    root: Path, base: BaseModel, engine: EngineThread, broker: DevBroker, swaps: int, questioners: int
) -> dict[str, Any]:
    settings = Settings(kafka_bootstrap=broker.bootstrap, data_dir=root / "data", metrics_port=0)
    apply_topics(settings, topics=(ADAPTERS, ADAPTER_STATES))
    prompts = _prompts(engine)
    versions = {segment: [_publish(root, base, engine, segment, n) for n in range(2)] for segment in SEGMENTS}
    host = VllmAdapters(lambda: engine)
    asker = Asker(engine, prompts)
    with (
        contextlib.closing(AdapterService(settings, host, "worker-0")) as service,
        ReleaseDesk(settings) as desk,
    ):
        for segment in SEGMENTS:
            _swap(service, desk, segment, versions[segment][0], base)
        with asker.asking(service, questioners):
            time.sleep(WARM_UP_S)
            quiet, swapping, swap_s = _take_turns(asker, service, desk, versions, base, swaps)
    say("one adapter and eight")
    names = [host_name for of in versions.values() for host_name in _add_all(engine, of)]
    rounds = [(asker.answers_per_s(names[:1]), asker.answers_per_s(names)) for _ in range(ROUNDS)]
    one, mixed = (float(np.median(each)) for each in zip(*rounds, strict=True))
    return {
        "swaps": len(swap_s),
        "swap_s_p50": round(float(np.median(swap_s)), 3),
        "questioners": questioners,
        **_told("quiet", quiet),
        **_told("swapping", swapping),
        "p99_ratio": round(float(np.quantile(swapping.took_ms, 0.99) / np.quantile(quiet.took_ms, 0.99)), 3),
        "one_adapter_answers_per_s": round(one, 1),
        "eight_adapters_answers_per_s": round(mixed, 1),
        "eight_to_one": round(float(np.median([m / o for o, m in rounds])), 3),
        "eight_to_one_rounds": [round(m / o, 3) for o, m in rounds],
    }


def _take_turns(
    asker: Asker,
    service: AdapterService,
    desk: ReleaseDesk,
    versions: dict[str, list[Path]],
    base: BaseModel,
    swaps: int,
) -> tuple[Spell, Spell, list[float]]:
    """Spells with swaps, each followed by one as long without."""
    quiet, swapping, swap_s = Spell(), Spell(), []
    for spell in range(SPELLS):
        asker.spell, began = swapping, time.perf_counter()
        for swap in range(spell * swaps // SPELLS, (spell + 1) * swaps // SPELLS):
            segment, turn = SEGMENTS[swap % 4], swap // 4 + 1
            swap_s.append(_swap(service, desk, segment, versions[segment][turn % 2], base))
        lasted = time.perf_counter() - began
        swapping.seconds += lasted
        asker.spell = quiet
        time.sleep(lasted)
        quiet.seconds += lasted
        say(f"spell {spell + 1} of {SPELLS}: {lasted:.1f} s with swaps, and as long without")
    return quiet, swapping, swap_s


def _swap(service: AdapterService, desk: ReleaseDesk, segment: str, folder: Path, base: BaseModel) -> float:
    """Seconds from the release until the version answers and the one before is out."""
    version = admitted(str(folder), base.folder, RANK, "vllm")
    began = time.perf_counter()
    desk.release(segment, version)
    while True:
        served = service.routing(segment, "ada")
        has_come = served is not None and served.version == version.decider_version
        del served  # a question that has it would keep the version in
        if has_come and service.is_settled():
            return time.perf_counter() - began
        time.sleep(0.01)


def _publish(root: Path, base: BaseModel, engine: EngineThread, segment: str, number: int) -> Path:
    files = adapter_files(base, RANK, seed=hash((SEGMENTS.index(segment), number)) % 2**32)
    manifest = publish_adapter(
        Registry(str(root / "models")), segment, base, files, hear(engine, files, root / "heard"),
        until=UNTIL, created_at=UNTIL,
    )  # fmt: skip
    return root / "models" / manifest.decider / manifest.version


def _add_all(engine: EngineThread, folders: list[Path]) -> list[str]:
    return [engine.run(engine.engine.add_adapter(folder)).name for folder in folders]


def _prompts(engine: EngineThread) -> list[list[int]]:
    chance = random.Random(3)
    texts = ["\n".join(chance.choices(GOODS, k=chance.randrange(4, 20))) for _ in range(2_000)]
    return [engine.engine.tokens.encode(f"{number} {text}")[:900] for number, text in enumerate(texts)]


def _told(name: str, spell: Spell) -> dict[str, Any]:
    return {
        f"{name}_questions": len(spell.took_ms),
        f"{name}_answers_per_s": round(len(spell.took_ms) / spell.seconds, 1),
        f"{name}_ms_p50": round(float(np.median(spell.took_ms)), 1),
        f"{name}_ms_p99": round(float(np.quantile(spell.took_ms, 0.99)), 1),
    }
