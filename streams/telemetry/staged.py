"""Counts of a batch, which become metrics with its commit and are forgotten with its abort."""

from collections import defaultdict

from prometheus_client import Counter


class StagedCounts:
    """What a lane's handler counts while it handles a batch: an aborted batch comes again and is counted then."""

    def __init__(self) -> None:
        self._counts: dict[Counter, float] = defaultdict(float)

    def add(self, counter: Counter, amount: float = 1) -> None:
        """Count for the batch in the making."""
        self._counts[counter] += amount

    def committed(self) -> None:
        """The batch is committed: its counts are in the metrics from now on."""
        for counter, amount in self._counts.items():
            counter.inc(amount)
        self._counts.clear()

    def aborted(self) -> None:
        """The batch never happened."""
        self._counts.clear()
