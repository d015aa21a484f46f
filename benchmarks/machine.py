"""The machine that a figure belongs to: its processor, who else uses it, and which core a process is held to.

Linux only, as the measurements are: they hold processes to cores and read `/proc`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from streams.machine import cpu_name

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CORES = sorted(os.sched_getaffinity(0))  # read once: `held_to` changes what the system says


def describe() -> str:
    """One line: processor, cores, memory, and the load of the last minute."""
    memory_gib = os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES / 2**30
    return (
        f"{cpu_name()}, {len(CORES)} cores, {memory_gib:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load before the start {os.getloadavg()[0]:.2f}"
    )


def measured_core() -> int:
    """The core that a measured process has to itself."""
    return CORES[-1]


def other_cores() -> set[int]:
    """The cores for the broker and whatever else a measurement needs; on a machine with one core, that one."""
    return set(CORES[:-1]) or set(CORES)


@contextmanager
def held_to(wanted: Set[int]) -> Iterator[None]:
    """Processes and threads started inside stay on these cores, every thread of theirs included."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def memory_bytes(pid: int) -> int:
    """What a process has in memory now, its mapped files included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def memory_peak_bytes(pid: int) -> int:
    """The most it ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/{pid}/status tells no VmHWM: the process has ended")


def processor_s(pid: int) -> float:
    """Processor time of a process so far, all its threads, as `time.process_time` counts it."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
