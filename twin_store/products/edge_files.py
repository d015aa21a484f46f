"""The folder of an embedded index: who owns it, which generation of the shard is in force, how far it has read.

    FOLDER/lock          held by the process that has the index open
    FOLDER/state.json    `EdgeState`, replaced whole
    FOLDER/gen-XXXX/     the shard that the state names; any other is a leftover and is removed

Everything here can be built again from the topics, so a folder of another format, model or generation is
emptied instead of being repaired.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from twin_store.products.base import ProductIndexError

FORMAT = 1
_GENERATION = "gen-"


@dataclass
class EdgeState:
    """What is known of the shard on disk. `position` is the caller's: what the shard includes, at least.

    Attributes:
        shard: folder name of the generation in force; empty before the first point.
        dimension: length of its vectors.
        unindexed: vectors written since the graph was built, which searches compare one by one.
    """

    model: str
    format: int = FORMAT
    shard: str = ""
    dimension: int = 0
    unindexed: int = 0
    position: dict[str, int] = field(default_factory=dict)


class EdgeFiles:
    """An index folder, locked for this process until `close`."""

    def __init__(self, folder: Path, model: str) -> None:
        """Lock `folder`, creating it if need be, and read its state.

        Raises `ProductIndexError` if another process has it open: two engines on one shard would corrupt it.
        """
        self.folder = folder
        self._model = model
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder / "lock")
        self.state = self._read_state()
        self._remove_leftovers()

    def new_shard(self) -> Path:
        """An empty folder for another generation; it comes into force when the state names it."""
        return Path(tempfile.mkdtemp(prefix=_GENERATION, dir=self.folder))

    @property
    def shard(self) -> Path | None:
        """The generation in force, or None before the first point."""
        return self.folder / self.state.shard if self.state.shard else None

    def save(self) -> None:
        """Replace the state on disk, all of it or nothing."""
        beside = self.folder / "state.json.new"
        with beside.open("w", encoding="utf-8") as file:
            json.dump(asdict(self.state), file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.folder / "state.json")

    def discard(self) -> None:
        """Forget the shard: the next one starts empty, at no position."""
        self.state = EdgeState(self._model)
        self.save()
        self._remove_leftovers()

    def remove(self, shard: Path) -> None:
        """Remove a generation that is not in force."""
        shutil.rmtree(shard, ignore_errors=True)

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock.close()

    def _read_state(self) -> EdgeState:
        try:
            state = EdgeState(**json.loads((self.folder / "state.json").read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return EdgeState(self._model)
        usable = state.format == FORMAT and state.model == self._model
        return state if usable else EdgeState(self._model)

    def _remove_leftovers(self) -> None:
        for path in self.folder.glob(f"{_GENERATION}*"):
            if path.name != self.state.shard:
                self.remove(path)


def _locked(path: Path) -> IO[str]:
    file = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ProductIndexError(
            f"{path.parent}: another process has this index open; let it end first, or give each a folder of its own"
        ) from None
    return file
