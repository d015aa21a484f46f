"""A part of a partition's products: what is kept of them, and the deltas that wait to be added."""

import time

import numpy as np

from twin_store.product_statistics import Statistics, combine, nothing


class ProductPart:
    """Statistics of some products; everything that waits can be dropped and taken again.

    Attributes:
        ticked: when deltas were added last, monotonic seconds.
        since: the offset of the first block whose deltas wait, None if none do.
        rows: how many rows of deltas wait.
    """

    def __init__(self, shards: list[Statistics]) -> None:
        self.state = combine(nothing(), shards) if shards else nothing()
        self.ticked = time.monotonic()
        self.since: int | None = None
        self.rows = 0
        self._pending: list[Statistics] = []
        self._next: Statistics | None = None

    def take(self, deltas: Statistics, offset: int) -> None:
        """Let the deltas of the block at an offset wait."""
        if deltas.rows():
            self._pending.append(deltas)
            self.rows += deltas.rows()
            self.since = offset if self.since is None else self.since

    def add_up(self) -> tuple[Statistics, np.ndarray]:
        """What is kept and what waits together, and the sku keys that change by it, sorted."""
        self._next = combine(self.state, self._pending)
        return self._next, np.unique(np.concatenate([deltas.skus() for deltas in self._pending]))

    def adopt(self) -> None:
        """What was added up is committed, if it was."""
        if self._next is not None:
            self.state = self._next
            self.ticked = time.monotonic()
            self.drop()

    def drop(self) -> None:
        """Forget what waits."""
        self._next, self._pending = None, []
        self.since, self.rows = None, 0
