"""How one benchmark is run by itself: `python -m benchmarks.NAME`."""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.machine import describe
from streams.errors import TwinsError

Measure = Callable[..., dict[str, Any]]
STDOUT, STDERR = 1, 2  # file descriptors


def run_alone(doc: str | None, measure: Measure) -> None:
    """Run `measure` with the options that are its parameters, and print what it found."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    for name, parameter in inspect.signature(measure).parameters.items():
        kind = float if "float" in str(parameter.annotation) else int
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=parameter.default)
    options = vars(parser.parse_args())
    as_json = options.pop("json")
    machine = describe()
    logging.basicConfig(
        level=logging.ERROR
    )  # a broker that has just started makes clients warn and try again
    try:
        with _stdout_for_results():
            found = {"machine": machine, **measure(**options)}
    except TwinsError as error:
        sys.exit(f"{error}")
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for name, value in _flat(found):
        print(f"{name:48} {f'{value:,}' if isinstance(value, int | float) else value}")


@contextmanager
def _stdout_for_results() -> Iterator[None]:
    """What is printed inside, by an engine that starts for one, goes to stderr."""
    sys.stdout.flush()
    results = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(results, STDOUT)
        os.close(results)


def _flat(found: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every figure with the path to it."""
    if isinstance(found, dict | list):
        for key, value in found.items() if isinstance(found, dict) else enumerate(found, start=1):
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, found
