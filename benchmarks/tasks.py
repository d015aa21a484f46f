"""How fast tasks are built, and what memory that takes, on the Complete Journey data set.

    python -m benchmarks.tasks [--lake FOLDER] [--customers N] [--each N] [--json]

Built twice, with `--each` rows of each task and with four times as many: memory must not follow. Rows a minute are of
the processor's time too, since a machine may be shared.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.journey_lake import journey_lake
from benchmarks.progress import say
from trainer.tasks.build import build_tasks
from twin_store.lake import Lake

UNTIL = datetime(2017, 10, 1, tzinfo=UTC)
TIMES = 4


@dataclass(frozen=True)
class Result:
    """One building. `peak_mib` is of the whole process."""

    rows: int
    rows_a_minute: float
    rows_a_cpu_minute: float
    peak_mib: float
    counts: dict[str, int]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lake", type=Path, help="a lake of the data set (default: made for the occasion)")
    parser.add_argument("--customers", type=int, default=None, help="of the 2,469 (default: all)")
    parser.add_argument("--each", type=int, default=40_000, help="rows of each task")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.lake or Path(scratch) / "lake"
        if options.alone:
            print(json.dumps(asdict(measure(Lake(str(folder)), options.each, Path(scratch)))))
            return
        if not options.lake:
            journey_lake(folder, until=UNTIL, customers=options.customers)
        found = [_alone(folder, each) for each in (options.each, TIMES * options.each)]
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for each in found:
        print(
            f"{each['rows']:,} rows: {each['rows_a_minute']:,.0f} a minute, {each['rows_a_cpu_minute']:,.0f} a minute "
            f"of one processor, peak {each['peak_mib']:,.0f} MiB"
        )


def measure(lake: Lake, each: int, scratch: Path) -> Result:
    """Build once; what is compiled and cached is compiled before."""
    build_tasks(lake, UNTIL, scratch / "warm", 100)
    began, cpu = time.monotonic(), time.process_time()
    built = build_tasks(lake, UNTIL, scratch / "tables", each, say=say)
    seconds, cpu_s = time.monotonic() - began, time.process_time() - cpu
    rows = sum(built.rows.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Result(rows, 60 * rows / seconds, 60 * rows / cpu_s, peak, built.rows)


def _alone(folder: Path, each: int) -> dict[str, float]:
    """In a process of its own, for its memory."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.tasks",
        "--alone",
        "--lake",
        str(folder),
        "--each",
        str(each),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
