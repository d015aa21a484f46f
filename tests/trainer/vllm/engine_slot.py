"""Where the tests of a run leave their engine for each other: to start one takes half a minute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.deciders.vllm.settings import EngineSettings
    from trainer.deciders.vllm.thread import EngineThread


@dataclass(frozen=True)
class RunningEngine:
    """An engine, and how it was started."""

    thread: EngineThread
    settings: EngineSettings


@dataclass
class EngineSlot:
    """The engine that runs, if one does. Whoever takes it ends it, and may do with it what others would not bear."""

    held: RunningEngine | None = None

    def take(self) -> RunningEngine | None:
        """Have it for oneself."""
        taken, self.held = self.held, None
        return taken
