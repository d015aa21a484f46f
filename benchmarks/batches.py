"""What an updater's batches cost, added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """One committed batch of one process: from when it was taken to its commit, on the machine's monotonic clock."""

    began: float
    ended: float
    cpu_began: float
    cpu_ended: float
    lines: int
    tick_cpu_s: float = (
        0.0  # of it what went into publishing statistics of products, at a time of the clock's choosing
    )


@dataclass(frozen=True)
class Run:
    """From the first batch to the last commit. Processor time is of the whole process, all its threads."""

    lines: int
    seconds: float
    cpu_s: float

    @property
    def lines_per_s(self) -> float:
        """Lines folded a second."""
        return self.lines / self.seconds

    @property
    def cpu_us_per_line(self) -> float:
        """Processor time of a line, in microseconds."""
        return 1e6 * self.cpu_s / self.lines


def add_up(members: Sequence[Sequence[Batch]]) -> Run:
    """The run of some processes that worked side by side."""
    busy = [batches for batches in members if batches]
    return Run(
        lines=sum(batch.lines for batches in busy for batch in batches),
        seconds=max(batches[-1].ended for batches in busy) - min(batches[0].began for batches in busy),
        cpu_s=sum(batches[-1].cpu_ended - batches[0].cpu_began for batches in busy),
    )


def cost_of_tenths(batches: Sequence[Batch]) -> tuple[float, float]:
    """Microseconds of processor time a line, over the first and the last tenth of one process's lines.

    Without ticks: they are due by the clock, so in a run of seconds all of them fall to its end.
    """
    lines = np.cumsum([0, *(batch.lines for batch in batches)])
    cpu_s = np.array([batches[0].cpu_began, *(batch.cpu_ended for batch in batches)])
    cpu_s -= np.cumsum([0.0, *(batch.tick_cpu_s for batch in batches)])
    tenth = lines[-1] / 10
    start, first, last, end = np.interp([0, tenth, lines[-1] - tenth, lines[-1]], lines, cpu_s)
    return float(1e6 * (first - start) / tenth), float(1e6 * (end - last) / tenth)
