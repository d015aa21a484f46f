"""Builds the search graph of a shard on a copy, in a process of its own, while the shard goes on serving.

The engine holds Python's interpreter lock while it builds, some ten seconds for 92k products. Inside the planner
that would stop everything; in a process of its own it stops nobody, and `nice` lets the others go first. What was
written to the shard meanwhile is carried over before the copy takes its place.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import qdrant_edge as qdrant

from twin_store.products import edge_shard
from twin_store.products.payload import Write


class GraphBuild:
    """One build under way: the copy, the process that works on it, the points written since."""

    def __init__(self, shard: Path, copy: Path, dimension: int) -> None:
        """Copy the flushed shard at `shard` into the empty folder `copy` and start building there."""
        shutil.copytree(shard, copy, dirs_exist_ok=True)
        self.copy = copy
        self._dimension = dimension
        self._changed: dict[str, bool] = {}  # id -> whether the vector was written, not the payload alone
        command = [sys.executable, "-m", __name__, str(copy), str(dimension)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def is_over(self) -> bool:
        """Whether the process has ended, well or not."""
        return self._process.poll() is not None

    def note(self, writes: Sequence[Write]) -> None:
        """Remember what was written to the shard since the copy was taken."""
        for write in writes:
            self._changed[write.point_id] = self._changed.get(write.point_id, False) or not write.keeps_vector

    def finish(self, serving: qdrant.EdgeShard) -> tuple[qdrant.EdgeShard, int]:
        """The copy, open and brought up to the `serving` shard, and how many of its vectors have no graph.

        Raises `RuntimeError` if the process failed, and whatever the engine raises.
        """
        if self._process.returncode != 0:
            raise RuntimeError(f"exit status {self._process.returncode}")
        shard = edge_shard.load(self.copy, self._dimension)
        for with_vector in (True, False):
            ids = [point for point, vector in self._changed.items() if vector is with_vector]
            points = edge_shard.read(serving, ids, with_vector=with_vector)
            writes = [
                Write(point, payload, payload, vector, not with_vector) for point, payload, vector in points
            ]
            edge_shard.write(shard, writes)
        shard.flush()
        return shard, sum(self._changed.values())

    def abandon(self) -> None:
        """End the process and remove the copy."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.copy, ignore_errors=True)


def build(shard: Path, dimension: int) -> None:
    """Build the graph of the shard in this folder, and close it."""
    opened = edge_shard.load(shard, dimension)
    opened.optimize()
    opened.flush()
    opened.close()


if __name__ == "__main__":
    os.nice(10)
    build(Path(sys.argv[1]), int(sys.argv[2]))
