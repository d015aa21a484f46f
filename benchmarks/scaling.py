"""Two updaters against one: what a second member of the group adds on this machine.

    python -m benchmarks.scaling [--customers N] [--json]

The same receipts twice, each time into an empty deployment: folded by one process, then by two that share the
partitions. Nobody is held to a core, so on a machine with few cores the broker has to fit in between.
"""

from __future__ import annotations

from typing import Any

from benchmarks.batches import Run, add_up
from benchmarks.command import run_alone
from benchmarks.deployment import Site, warm_site
from benchmarks.machine import CORES
from benchmarks.progress import say
from benchmarks.receipts import HeldBack, check_totals
from benchmarks.updaters import running
from streams.sources.complete_journey import CompleteJourney
from streams.topics import TRANSACTIONS


def measure(customers: int | None = None) -> dict[str, Any]:
    """Lines a second of both, and their ratio."""
    with warm_site(set(CORES)) as site:
        one, two = _fold(site, 1, customers), _fold(site, 2, customers)
    return {
        "lines": one.lines,
        "one_lines_per_s": round(one.lines_per_s),
        "one_cpu_us_per_line": round(one.cpu_us_per_line, 2),
        "two_lines_per_s": round(two.lines_per_s),
        "two_cpu_us_per_line": round(two.cpu_us_per_line, 2),
        "times_faster": round(two.lines_per_s / one.lines_per_s, 2),
    }


def _fold(site: Site, members: int, customers: int | None) -> Run:
    settings = site.deployment(f"members{members}")
    records = CompleteJourney().records(customers=customers, topics=(TRANSACTIONS,))
    receipts = HeldBack(settings, records)
    with running(settings, [set(CORES)] * members) as updaters:
        say(f"{receipts.count:,} receipts are let go, members: {members}")
        receipts.release()
        updaters.wait_for(receipts.totals.lines)
    check_totals(settings, receipts.totals)
    return add_up(updaters.batches)


if __name__ == "__main__":
    run_alone(__doc__, measure)
