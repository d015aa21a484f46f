"""Trainings whose end a test decides, in place of a child process: what they leave is what a real one leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streams.schedule.runs import LOG, RESULT, folder_of
from streams.settings import Settings
from trainer.registry import Registry
from twin_store.messages import TrainingJob

Ending = Callable[["Training"], int | None]


class Training:
    """See `streams.schedule.runs.Run`."""

    def __init__(self, settings: Settings, job: TrainingJob, ending: Ending) -> None:
        self.settings, self.job = settings, job
        self.folder: Path = folder_of(settings, job)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stopped = False
        self._ending = ending

    def poll(self) -> int | None:
        return self._ending(self)

    def stop(self) -> None:
        self.stopped = True

    def leave(self, passed: bool, version: str) -> None:
        """Its result."""
        numbers = {"challenger_auc": 0.8, "champion_auc": 0.7}
        verdict = {"passed": passed, "reason": "as the test says", "kinds": {"all": numbers}}
        found = {"version": version, "manifest": "", "verdict": verdict, "train_s": 1.0}
        (self.folder / RESULT).write_text(json.dumps(found))

    def say(self, line: str) -> None:
        """Its last words."""
        (self.folder / LOG).write_text(line + "\n")


class Trainings:
    """Starts them; `started` in order."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending
        self.started: list[Training] = []

    def __call__(self, settings: Settings, job: TrainingJob) -> Training:
        self.started.append(Training(settings, job, self.ending))
        return self.started[-1]


def candidate(settings: Settings, segment: str, content: bytes = b"one") -> str:
    """A version that was stored and answers nobody."""
    at = "2024-07-01T00:00:00Z"
    registry = Registry(settings.models)
    return registry.publish(f"evidence/{segment}", at, at, {"a.txt": content}, {}, {}, current=False).version


def endless(_training: Any) -> None:
    """It goes on."""


def with_result(passed: bool) -> Ending:
    """It ends at once, with a candidate and this verdict."""

    def end(training: Training) -> int:
        training.leave(passed, candidate(training.settings, training.job.segment))
        return 0

    return end


def failing(code: int, words: str) -> Ending:
    """It ends at once with this code and these last words."""

    def end(training: Training) -> int:
        training.say(words)
        return code

    return end
