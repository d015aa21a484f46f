"""Lines on stderr that say what is being done, with the seconds since the start."""

from __future__ import annotations

import sys
import time

_BEGAN = time.monotonic()


def say(doing: str) -> None:
    """One line."""
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {doing}", file=sys.stderr, flush=True)
