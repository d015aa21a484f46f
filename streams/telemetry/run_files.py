"""A file a running process, `DATA_DIR/run/<process>-<pid>.json`: how `twins status` finds what runs here.

The process holds a lock on its file as long as it lives, so a file without a lock belongs to one that died,
however it died and whoever has its pid now.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from streams.settings import Settings


@dataclass(frozen=True)
class RunningProcess:
    """What a process says of itself. `port` is that of its metrics and health endpoint, None if it has none."""

    process: str
    pid: int
    host: str
    port: int | None
    started_at: str

    @property
    def url(self) -> str | None:
        """Where `/metrics`, `/healthz` and `/readyz` are."""
        return f"http://{self.host}:{self.port}" if self.port is not None else None


class RunFile:
    """The file of this process, from `__init__` until `remove` or its death."""

    def __init__(self, settings: Settings, process: RunningProcess) -> None:
        folder = run_folder(settings)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{process.process}-{process.pid}.json"
        self._file = self.path.open("w", encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        json.dump(asdict(process), self._file)
        self._file.flush()

    def remove(self) -> None:
        """Say that the process ends."""
        self.path.unlink(missing_ok=True)
        self._file.close()


def run_folder(settings: Settings) -> Path:
    """Where the files of the running processes are."""
    return settings.data_dir / "run"


def running_processes(settings: Settings) -> list[RunningProcess]:
    """Every process of this deployment that lives on this machine; files of dead ones are removed."""
    found = []
    for path in sorted(run_folder(settings).glob("*.json")):
        with _owner_died(path) as died:
            if died:
                path.unlink(missing_ok=True)
                continue
        try:
            found.append(RunningProcess(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError):
            continue  # it is just starting, or has just ended
    return found


@contextmanager
def _owner_died(path: Path) -> Iterator[bool]:
    """Whether nobody holds the file's lock; if so it is held here while the caller acts on it."""
    try:
        file = path.open("r", encoding="utf-8")
    except OSError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            # Between its open and its lock a new process's file is empty: that one is alive.
            yield os.fstat(file.fileno()).st_size > 0
