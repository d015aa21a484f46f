"""Runs the processes of one machine as children: starts them, starts again what crashed, ends all cleanly.

For a laptop and the demo. Beyond one machine an orchestrator does this work, with the same commands.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from streams.settings import CONFIG_VARIABLE, ENV_PREFIX, Settings, variable
from streams.vllm_python import vllm_python, with_own_compiled

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 30.0
STEADY_AFTER_S = 60.0  # a child that lived so long starts again at once, and with the first backoff
STOP_TIMEOUT_S = 45.0
POLL_S = 0.05
WORKER = "worker"  # the one process that may need another Python
State = Literal["running", "waiting", "ended"]
_log = logging.getLogger(__name__)


@dataclass
class Child:
    """One process under supervision. `restarts` counts crashes; `log` takes its stdout and stderr."""

    name: str
    member: str
    log: Path
    restarts: int = 0
    started_at: float = 0.0
    start_at: float = 0.0
    backoff_s: float = BACKOFF_FIRST_S
    exit_code: int | None = None
    popen: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def state(self) -> State:
        """Whether it runs, waits for its next start, or was ended."""
        if self.popen is not None and self.popen.poll() is None:
            return "running"
        return "waiting" if self.start_at else "ended"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self.popen.pid if self.popen is not None and self.state == "running" else None

    def last_words(self) -> str:
        """The last line of its log."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""


class Supervisor:
    """The children of one deployment on this machine. Call `tend` about once a second."""

    def __init__(self, settings: Settings, wanted: Sequence[tuple[str, str]]) -> None:
        """`wanted` are the process name and the member of each child.

        Raises:
            UsageError: a worker is to run a language model, and there is no environment for it.
        """
        self._worker_python = sys.executable
        if settings.decider == "vllm" and any(name == WORKER for name, _ in wanted):
            self._worker_python = vllm_python(settings)
        self._environment = child_environment(settings.model_copy(update={"log_format": "json"}))
        self._logs = settings.data_dir.resolve() / "logs"
        self.children = [Child(name, member, self._logs / f"{name}-{member}.log") for name, member in wanted]

    def start(self) -> None:
        """Start all children."""
        self._logs.mkdir(parents=True, exist_ok=True)
        for child in self.children:
            self._start(child)

    def tend(self) -> list[Child]:
        """Start again what crashed, after its backoff; returns the children that crashed since the last call."""
        now = time.monotonic()
        crashed = []
        for child in self.children:
            if child.popen is None:
                if child.start_at and now >= child.start_at:
                    self._start(child)
                continue
            code = child.popen.poll()
            if code is None:
                continue
            child.exit_code, child.popen = code, None
            child.restarts += 1
            if now - child.started_at > STEADY_AFTER_S:
                child.backoff_s = BACKOFF_FIRST_S
            child.start_at = now + child.backoff_s
            child.backoff_s = min(2 * child.backoff_s, BACKOFF_MAX_S)
            _log.warning("%s-%s ended with code %s: %s", child.name, child.member, code, child.last_words())
            crashed.append(child)
        return crashed

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> list[Child]:
        """Tell all to end and wait; returns those that had to be killed."""
        for child in self.children:
            child.start_at = 0.0
            if child.popen is not None and child.popen.poll() is None:
                child.popen.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        killed = []
        for child in self.children:
            if child.popen is None:
                continue
            try:
                child.exit_code = child.popen.wait(max(POLL_S, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.popen.kill()
                child.exit_code = child.popen.wait()
                killed.append(child)
            child.popen = None
        return killed

    def _start(self, child: Child) -> None:
        python = self._worker_python if child.name == WORKER else sys.executable
        environment = self._environment if python == sys.executable else with_own_compiled(self._environment)
        command = [python, "-m", "streams.cli", "run", child.name, "--member", child.member]
        command += ["--parent", str(os.getpid())]
        with child.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches the supervisor alone, which ends them in order.
            child.popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        child.started_at = time.monotonic()
        child.start_at = 0.0


def child_environment(settings: Settings) -> dict[str, str]:
    """This process's environment with exactly these settings in it, whatever the shell or a file says.

    They are written to a file under the data folder; secrets go by variables alone.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    lines = []
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            environment[variable(name)] = value.get_secret_value()
        elif isinstance(value, Path):
            lines.append(f"{name} = {json.dumps(str(value.resolve()))}")
        elif value is not None:
            lines.append(f"{name} = {json.dumps(value)}")
    file = settings.data_dir.resolve() / "supervised.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment[CONFIG_VARIABLE] = str(file)
    return environment
