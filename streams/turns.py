"""Records that were read and wait to be handled, and whose turn it is."""

import math

from streams.batch import Batch


class Turns:
    """Records by partition number; the partition that has waited longest is next.

    Who handles what has come of all partitions together keeps every record waiting for all the others, twice: until
    the batch before is done, and until its own is. Partition after partition, a record waits for one round, and then
    for its own partition alone.

    Args:
        size: partitions are added to a turn until it has so many records; None for all that waits.
        most: with so many waiting, all of it is one turn. Then nothing is fresh any more, and large batches catch up
            sooner: each twin is rendered once a batch.
    """

    def __init__(self, size: int | None, most: int) -> None:
        self._size = math.inf if size is None else size
        self._most = most
        self._waiting: dict[int, Batch] = {}  # in the order in which they began to wait
        self._count = 0

    def __len__(self) -> int:
        """How many records wait."""
        return self._count

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, batch: Batch) -> None:
        """Let what was read wait."""
        self._count += len(batch)
        for source, messages in batch.records.items():
            waiting = self._waiting.setdefault(source[1], Batch())
            waiting.records.setdefault(source, []).extend(messages)
        for source, offset in batch.ends.items():
            self._waiting.setdefault(source[1], Batch()).ends[source] = offset

    def next(self) -> Batch:
        """Whose turn it is; empty if nothing waits."""
        size = math.inf if self._count >= self._most else self._size
        turn = Batch()
        for partition in list(self._waiting):
            if len(turn) >= size:
                break
            waiting = self._waiting.pop(partition)
            turn.records |= waiting.records
            turn.ends |= waiting.ends
            self._count -= len(waiting)
        return turn

    def drop(self, partition: int) -> None:
        """Forget what waits of a partition that was given up."""
        self._count -= len(self._waiting.pop(partition, Batch()))

    def clear(self) -> None:
        """Forget everything: it will be read again."""
        self._waiting.clear()
        self._count = 0
