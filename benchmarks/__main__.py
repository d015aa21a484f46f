"""`make bench`: everything measured in one run, as one table.

    python -m benchmarks [NAME ...] [--quick] [--json]

Each benchmark runs in a process of its own, one after the other; what it does is told on stderr. All of them take half
an hour on two cores that nobody else uses; `--quick` only shows that they run. Those of the language model run in the
environment of `make setup-vllm`, and are left out where there is none.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.machine import describe
from benchmarks.progress import say
from benchmarks.table import LANGUAGE, ROWS, render, rows_of
from streams.vllm_python import CHECKOUT, ENVIRONMENT, with_own_compiled

QUICK: Mapping[str, Mapping[str, float]] = {
    "updater": {"customers": 100},
    "rival_quix": {"customers": 50, "seconds": 10},
    "scaling": {"customers": 100},
    "freshness": {"customers": 200, "lines-per-s": 10_000},
    "state_size": {"customers": 40},
    "memory": {"customers": 40},
    "retrieval": {"products": 500},
    "decider": {"customers": 60},
    "pool": {"queries": 24, "people": 20},
    "swap": {"swaps": 4, "questioners": 8},
    "outage": {"seconds": 10, "before": 15},
}


def main() -> None:
    """Run what is asked for and print it; ends with 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(ROWS)}; all if none is named"
    )
    parser.add_argument("--quick", action="store_true", help="little of everything, for a look")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    unknown = set(options.names) - set(ROWS)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    machine = describe()
    python = _language_python()
    names = [name for name in ROWS if name in (options.names or ROWS)]
    if python is None and LANGUAGE & set(names):
        left_out = ", ".join(name for name in names if name in LANGUAGE)
        say(f"left out: {left_out}; they need the language model's environment, see `make setup-vllm`")
        names = [name for name in names if name not in LANGUAGE]
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        say(f"{name}:")
        own = python if python is not None and name in LANGUAGE else sys.executable
        found = _run(own, name, _options(name, options.quick))
        if found is not None:
            results[name] = found
    _print(machine, results, options.json)
    sys.exit(len(results) < len(names))


def _options(name: str, quick: bool) -> Mapping[str, float]:
    return QUICK[name] if quick else {}


def _language_python() -> str | None:
    """The Python that has vLLM, or None."""
    python = CHECKOUT / ENVIRONMENT / "bin" / "python"
    return str(python) if python.is_file() else None


def _run(python: str, name: str, options: Mapping[str, float]) -> dict[str, Any] | None:
    """What one benchmark found, or None if it failed and has said why."""
    command = [python, "-m", f"benchmarks.{name}", "--json"]
    for option, value in options.items():
        command += [f"--{option}", str(value)]
    environment = dict(os.environ) if python == sys.executable else with_own_compiled(os.environ)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if done.returncode:
        say(f"{name} failed with code {done.returncode}")
        return None
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _print(machine: str, results: Mapping[str, Mapping[str, Any]], as_json: bool) -> None:
    rows = rows_of(results)
    if as_json:
        table = [asdict(row) for row in rows]
        print(json.dumps({"machine": machine, "table": table, "results": results}, indent=2))
        return
    print(f"{machine}\n\n{render(rows)}")


if __name__ == "__main__":
    main()
