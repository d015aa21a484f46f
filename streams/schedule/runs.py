"""A training in a child process: its folder, its log, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

from streams.errors import TwinsError, UsageError
from streams.settings import Settings
from streams.supervisor import child_environment
from twin_store.messages import TrainingJob

RESULT = "result.json"
LOG = "train.log"
STOP_TIMEOUT_S = 5.0
WRONG_USAGE = UsageError.exit_code


class Run(Protocol):
    """A training that was started."""

    folder: Path

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""

    def stop(self) -> None:
        """End it, and wait."""


def folder_of(settings: Settings, job: TrainingJob) -> Path:
    """Where a job's log and result lie. Attempts share it: what one has finished the next need not do again.

    In a cluster that is a folder of the registry's volume, which scheduler and trainings share.
    """
    shared = settings.data_dir.resolve()
    if settings.schedule_runner == "kubernetes":
        shared /= "models"
    return shared / "jobs" / job.job_id


def command_of(job: TrainingJob, folder: Path) -> list[str]:
    """The arguments of `twins` that train this job."""
    arguments = [
        "train",
        "challenger",
        "--segment",
        job.segment,
        "--decider",
        job.decider,
        "--run",
        str(folder),
    ]
    if job.until is not None:
        arguments += ["--until", job.until.strftime("%Y-%m-%dT%H:%M:%S")]
    return arguments


class ChildRun:
    """A child of this process; it ends by itself when this process is gone."""

    def __init__(self, settings: Settings, job: TrainingJob) -> None:
        """Raises `OSError` if its folder cannot be written."""
        self.folder = folder_of(settings, job)
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "streams.cli",
            *command_of(job, self.folder),
            "--parent",
            str(os.getpid()),
        ]
        with (self.folder / LOG).open("ab") as log:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=child_environment(settings) | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
                start_new_session=True,
            )

    def poll(self) -> int | None:
        """See `Run`."""
        return self._popen.poll()

    def stop(self) -> None:
        """See `Run`."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()


def read_result(folder: Path) -> dict[str, Any] | None:
    """What a finished training left; None if it has left nothing yet.

    Raises:
        TwinsError: it is broken.
    """
    path = folder / RESULT
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = json.loads(content)
        verdict = found["verdict"]
        if not isinstance(found["version"], str) or not isinstance(verdict["passed"], bool):
            raise ValueError("no version or verdict")
    except (ValueError, KeyError, TypeError) as error:
        raise TwinsError(f"{path} is broken: {error}") from None
    return dict(found)


def last_words(folder: Path, lines: int = 1) -> str:
    """The last lines of its log."""
    try:
        said = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return "\n".join(said[-lines:])
