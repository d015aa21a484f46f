"""A real engine over a scripted model, on a loop of its own, and adapters that are known by what they say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from tests.trainer.vllm.made_adapters import UNTIL, random_adapter, stub_base
from tests.trainer.vllm.scripted_inference import LETTERS, NO, YES, ScriptedInference
from trainer.base_model import BaseModel
from trainer.calibration import Curve
from trainer.deciders.vllm.canaries import Canaries, Canary
from trainer.deciders.vllm.engine import VllmEngine
from trainer.deciders.vllm.settings import EngineSettings
from trainer.deciders.vllm.thread import EngineThread
from trainer.deciders.vllm.tokens import ModelTokens
from trainer.publish_adapter import peft_files, publish_adapter
from trainer.registry import Registry

TOKENS = ModelTokens(tokenizer=None, yes=(YES,), no=(NO,), letters=LETTERS)  # type: ignore[arg-type]
IN_MEMORY = 6


class Hosted:
    """One engine at a time; `said` has P(YES) by the name of the adapter, whichever engine it is in."""

    def __init__(self, folder: Path) -> None:
        self.models = folder / "models"
        self.base: BaseModel = stub_base(folder / "stub")
        self.said: dict[str, float] = {}
        self._folder = folder
        self._engines: list[EngineThread] = []
        self._seeds = 0
        self.thread: EngineThread | None = None
        self.start()

    def start(self) -> None:
        """Begin anew, with no adapters."""
        self.inference = ScriptedInference(IN_MEMORY)
        self.inference.p_yes = self.said
        settings = EngineSettings(
            self.base.folder, self._folder / "copies", adapters_in_memory=IN_MEMORY, in_flight_max=8
        )
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()

        async def make() -> VllmEngine:
            return VllmEngine(settings, self.base, TOKENS, self.inference)

        engine = asyncio.run_coroutine_threadsafe(make(), loop).result()
        self.thread = EngineThread(engine, loop, thread)
        self._engines.append(self.thread)

    def stop(self) -> None:
        """End all engines."""
        for engine in self._engines:
            engine.stop()

    def publish(self, segment: str, p_yes: float, says: float | None = None) -> Path:
        """A new version that answers `p_yes` to everything, or something else than its trainer heard."""
        self._seeds += 1
        made = random_adapter(self.base, 4, 0.1, seed=self._seeds)
        made.canaries = Canaries((Canary((1, 2), p_yes),))
        made.calibration = {"purchase": Curve(1.0, p_yes)}
        folder = made.publish(self.models, segment, self.base)
        self.said[f"vllm/{segment}/{folder.name}"] = p_yes if says is None else says
        return folder

    def publish_copy(self, of: Path, segment: str, p_yes: float) -> Path:
        """The same files for another segment, but for what they say; faster than to make them."""
        canaries = Canaries((Canary((1, 2), p_yes),))
        manifest = publish_adapter(
            Registry(str(self.models)),
            segment,
            self.base,
            peft_files(of),
            canaries,
            until=UNTIL,
            created_at=UNTIL,
        )
        self.said[f"{manifest.decider}/{manifest.version}"] = p_yes
        return self.models / manifest.decider / manifest.version

    def ask(self, name: str) -> float:
        """What an adapter says."""
        assert self.thread is not None
        return self.thread.run(self.thread.engine.p_yes([1, 2, 3], name)).p_yes

    def adapters(self) -> list[str]:
        """Those that the engine knows."""
        return self._told(lambda engine: engine.adapters())

    def in_memory(self) -> list[str]:
        """Those of them that are in memory."""
        return self._told(lambda engine: engine.adapters_in_memory())

    def _told(self, ask: Callable[[VllmEngine], list[str]]) -> list[str]:
        async def told(engine: VllmEngine) -> list[str]:
            return ask(engine)

        assert self.thread is not None
        return self.thread.run(told(self.thread.engine))
