"""The machine that a measurement was made on."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """The processor and how many of it there are."""
    return f"{os.cpu_count()} x {cpu_name()}"


def cpu_name() -> str:
    """The processor as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
