"""`make bench`: everything measured in one run, as one table.

    python -m benchmarks [NAME ...] [--quick] [--json]

Each benchmark runs in a process of its own, one after the other; what it does is told on stderr. All of them take a
quarter of an hour on two cores that nobody else uses; `--quick` only shows that they run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.machine import describe
from benchmarks.progress import say
from benchmarks.table import ROWS, render, rows_of

QUICK: Mapping[str, Mapping[str, float]] = {
    "updater": {"customers": 100},
    "rival_quix": {"customers": 50, "seconds": 10},
    "scaling": {"customers": 100},
    "freshness": {"customers": 200, "lines-per-s": 10_000},
    "state_size": {"customers": 40},
    "memory": {"customers": 40},
    "retrieval": {"products": 500},
    "decider": {"customers": 60},
}
RUSH = 0.5  # of what the updater can do: the load at which freshness is measured


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
    names = [name for name in ROWS if name in (options.names or ROWS)]
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        say(f"{name}:")
        found = _run(name, _options(name, options.quick, results))
        if found is not None:
            results[name] = found
    _print(machine, results, options.json)
    sys.exit(len(results) < len(names))


def _options(name: str, quick: bool, results: Mapping[str, Mapping[str, Any]]) -> Mapping[str, float]:
    if quick:
        return QUICK[name]
    if name == "freshness" and "updater" in results:
        return {"lines-per-s": RUSH * results["updater"]["lines_per_s"]}
    return {}


def _run(name: str, options: Mapping[str, float]) -> dict[str, Any] | None:
    """What one benchmark found, or None if it failed and has said why."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    for option, value in options.items():
        command += [f"--{option}", str(value)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
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
