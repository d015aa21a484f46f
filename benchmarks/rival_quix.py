"""The named rival: Quix Streams on the same receipts, core and broker, exactly once.

    python -m benchmarks.rival_quix [--customers N] [--seconds S] [--json]

It keeps the same twin as a dictionary of JSON state (`benchmarks.quix`). It is stopped after a while, which flatters
it: its cost grows with the history of a twin, and it has seen only the first months of the year then.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.command import run_alone
from benchmarks.deployment import warm_site
from benchmarks.machine import held_to, measured_core, other_cores
from benchmarks.progress import say
from benchmarks.receipts import HeldBack, Totals
from streams.errors import TwinsError
from streams.kafka import topic_name
from streams.settings import Settings
from streams.sources.complete_journey import CompleteJourney
from streams.topics import TRANSACTIONS

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv-bench" / "bin" / "python"
STARTING_S = 120.0


def measure(customers: int | None = None, seconds: float = 60.0) -> dict[str, Any]:
    """Lines a second over so many seconds, or over all receipts if they take less."""
    if not PYTHON.exists():
        raise TwinsError(
            f"there is no {PYTHON.relative_to(ROOT)}: `make bench` sets the rival's environment up"
        )
    with warm_site(other_cores()) as site:
        settings = site.deployment("quix")
        records = CompleteJourney().records(customers=customers, topics=(TRANSACTIONS,))
        receipts = HeldBack(settings, records)
        receipts.release()
        say(f"{receipts.count:,} receipts for Quix Streams, {seconds:.0f} s at most")
        with held_to({measured_core()}):
            done = _run(settings, seconds)
    if done["receipts"] == receipts.count and Totals(done["lines"], done["cents"]) != receipts.totals:
        raise TwinsError(f"the rival has folded {done} of {receipts.totals}")
    return {
        "version": done["version"],
        "share_of_receipts": round(done["receipts"] / receipts.count, 3),
        "lines": done["lines"],
        "seconds": round(done["seconds"], 2),
        "lines_per_s": round(done["lines"] / done["seconds"]),
        "cpu_us_per_line": round(1e6 * done["cpu_s"] / done["lines"], 2),
    }


def _run(settings: Settings, seconds: float) -> dict[str, Any]:
    command = [str(PYTHON), "-W", "ignore", "-m", "benchmarks.quix.app", settings.kafka_bootstrap]
    command += [topic_name(settings, TRANSACTIONS), str(settings.data_dir / "quix"), str(seconds)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds + STARTING_S
    )
    if done.returncode:
        raise TwinsError(f"the rival ended with code {done.returncode}:\n{done.stderr[-4_000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    run_alone(__doc__, measure)
