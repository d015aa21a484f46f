"""Processes of the system run in threads of a test, started and stopped like the commands start them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def running(*runs: Callable[[threading.Event], Any]) -> Iterator[None]:
    """Run each function in a thread; on the way out tell all to stop, wait, and raise what one of them raised."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def guarded(run: Callable[[threading.Event], Any]) -> None:
        try:
            run(stop)
        except BaseException as error:  # it belongs to the test's thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def eventually(reached: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Wait until something holds; fail with `what` if it does not come."""
    deadline = time.monotonic() + timeout_s
    while not reached():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:.0f} s for {what}")
        time.sleep(0.05)
