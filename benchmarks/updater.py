"""The updater: lines a second of one process on one core, with everything that it does in production.

    python -m benchmarks.updater [--customers N] [--json]

All receipts of the Complete Journey wait on a real broker, which has the other cores. One updater, held to a core of
its own, folds them exactly once, keeps RocksDB, the changelog and the products' statistics, and publishes profiles
of twins that know the catalogue. Measured from its first batch to the commit of its last receipt, and by processor
time to that of the last product's statistics, which wait while receipts do. The profiles it has published must add
up to the receipts' lines and cents.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.batches import add_up, cost_of_tenths
from benchmarks.command import run_alone
from benchmarks.deployment import warm_site
from benchmarks.machine import measured_core, memory_peak_bytes, other_cores, processor_s
from benchmarks.progress import say
from benchmarks.receipts import WHOLE_JOURNEY, HeldBack, check_totals
from benchmarks.updaters import running
from streams.errors import TwinsError
from streams.settings import Settings
from streams.sources.complete_journey import CompleteJourney
from streams.topics import TRANSACTIONS


def measure(customers: int | None = None) -> dict[str, Any]:
    """All figures of one run over the receipts of so many customers, or of all."""
    with warm_site(other_cores()) as site:
        settings = site.deployment("one")
        records = CompleteJourney().records(customers=customers, topics=(TRANSACTIONS,))
        receipts = HeldBack(settings, records)
        if customers is None and receipts.totals != WHOLE_JOURNEY:
            raise TwinsError(f"the data set holds {receipts.totals}, not {WHOLE_JOURNEY}")
        say(f"{receipts.count:,} receipts wait; an updater starts")
        with running(settings, [{measured_core()}]) as updaters:
            say("the receipts are let go")
            receipts.release()
            updaters.wait_for(receipts.totals.lines)
            updaters.wait_for_products()
            products_s = time.monotonic() - updaters.batches[0][0].began
            all_cpu_s = processor_s(updaters.members[0].pid) - updaters.batches[0][0].cpu_began
            peak = memory_peak_bytes(updaters.members[0].pid)
        say("the profiles are added up")
        twins = check_totals(settings, receipts.totals)
        run = add_up(updaters.batches)
        first, last = cost_of_tenths(updaters.batches[0])
        return {
            "customers": twins,
            "receipts": receipts.count,
            "lines": run.lines,
            "cents": receipts.totals.cents,
            "seconds": round(run.seconds, 2),
            "lines_per_s": round(run.lines_per_s),
            "seconds_with_products": round(products_s, 2),
            "cpu_us_per_line_with_products": round(1e6 * all_cpu_s / run.lines, 2),
            "cpu_us_per_line": round(run.cpu_us_per_line, 2),
            "cpu_share": round(run.cpu_s / run.seconds, 3),
            "batches": len(updaters.batches[0]),
            "first_tenth_us_per_line": round(first, 2),
            "last_tenth_us_per_line": round(last, 2),
            "last_to_first_tenth": round(last / first, 3),
            "memory_peak_mib": round(peak / 2**20),
            "state_bytes_per_customer": round(state_bytes(settings) / twins),
        }


def state_bytes(settings: Settings) -> int:
    """Bytes of the updater's RocksDB on disk."""
    return sum(path.stat().st_size for path in Path(settings.data_dir, "state").rglob("*") if path.is_file())


if __name__ == "__main__":
    run_alone(__doc__, measure)
