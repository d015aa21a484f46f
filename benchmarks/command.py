"""How one benchmark is run by itself: `python -m benchmarks.NAME`."""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.machine import describe
from streams.errors import TwinsError

Measure = Callable[..., dict[str, Any]]


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
        found = {"machine": machine, **measure(**options)}
    except TwinsError as error:
        sys.exit(f"{error}")
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        for number, each in enumerate(value if isinstance(value, list) else [value]):
            print(f"{'' if number else name:40} {f'{each:,}' if isinstance(each, int | float) else each}")
