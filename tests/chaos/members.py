"""Processes of the system as `twins run` starts them, to be killed."""

from __future__ import annotations

import signal
import subprocess
import sys

from streams.settings import Settings
from tests.chaos.updaters import environment


class Member:
    """One process of a kind. `module` is run in place of the command line, with the member as its argument."""

    def __init__(self, settings: Settings, name: str, member: str = "0", module: str | None = None) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._arguments = ["-m", "streams.cli", "run", name, "--member", member]
        if module is not None:
            self._arguments = ["-m", module, member]
        self.log = settings.data_dir / f"{name}-{member}.log"

    def start(self) -> None:
        """Start it, again after a kill."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._arguments],
                env=environment(self._settings),
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """As a power cut would: no clean-up. Nothing happens if it is not running."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    @property
    def running(self) -> bool:
        """Whether the process of the last start lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Let it finish; fails if it did not end well."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        assert self._process.wait(60) == 0, self.log.read_text()[-4_000:]
