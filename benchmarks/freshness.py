"""Freshness: from a receipt's publication to the published profile that includes it, as a CRM sees it.

    python -m benchmarks.freshness [--lines-per-s N] [--customers N] [--json]

Half of the year is folded first, so that twins have a history. Then receipts are published at a steady rate, by default
half of what is wanted of one core (`benchmarks.updater`), and after that a few a second. The updater has a core of its
own; the broker, the till and the reader of profiles share the others. At that rate half a year passes in ten seconds.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from benchmarks.batches import add_up
from benchmarks.command import run_alone
from benchmarks.deployment import warm_site
from benchmarks.freshness_probe import FreshnessProbe, Prepared, prepare
from benchmarks.machine import held_to, measured_core, other_cores
from benchmarks.progress import say
from benchmarks.receipts import HeldBack
from benchmarks.updaters import Updater, running
from streams.sources.complete_journey import CompleteJourney
from streams.topics import TRANSACTIONS

BUSY_S = 10.0  # or until the year is over
QUIET_RECEIPTS = 300
QUIET_PER_S = 20.0
SKIPPED = 0.1  # of the receipts: the first of a rush find an updater that has just been idle


def measure(lines_per_s: float = 75_000.0, customers: int | None = None) -> dict[str, Any]:
    """Milliseconds at a steady load of so many lines a second, and at a low one."""
    everything = list(CompleteJourney().records(customers=customers, topics=(TRANSACTIONS,)))
    half = len(everything) // 2
    lines_each = sum(record.lines for record in everything) / len(everything)
    with warm_site(other_cores()) as site, held_to(other_cores()):
        settings = site.deployment("fresh")
        history = HeldBack(settings, everything[:half])
        with running(settings, [{measured_core()}]) as updaters:
            history.release()
            updaters.wait_for(history.totals.lines)
            updaters.wait_for_products()
            later = prepare(everything[half:])
            per_s = lines_per_s / lines_each
            busy = later[: min(len(later) - QUIET_RECEIPTS, int(BUSY_S * per_s))]
            updater = updaters.members[0]
            with contextlib.closing(FreshnessProbe(settings)) as probe:
                say(f"{len(busy):,} receipts at {per_s:,.0f} a second")
                found = _run(probe, updater, busy, per_s, "busy")
                updaters.wait_for_products()
                say(f"{QUIET_RECEIPTS} receipts at {QUIET_PER_S:.0f} a second")
                found |= _run(probe, updater, later[-QUIET_RECEIPTS:], QUIET_PER_S, "quiet")
    return found


def _run(
    probe: FreshnessProbe, updater: Updater, receipts: list[Prepared], per_s: float, name: str
) -> dict[str, Any]:
    """Percentiles, the load that there really was, and how much of its core the updater needed for it."""
    before = len(updater.batches)
    taken_ms, published_per_s = probe.run(receipts, per_s)
    steady = taken_ms[int(SKIPPED * len(taken_ms)) :]
    work = add_up([updater.batches[before:]])
    return {
        f"{name}_receipts": len(receipts),
        f"{name}_receipts_per_s": round(published_per_s),
        f"{name}_lines_per_s": round(published_per_s * work.lines / len(receipts)),
        f"{name}_updater_cpu_share": round(work.cpu_s / work.seconds, 3),
        f"{name}_ms_p50": round(float(np.median(steady)), 1),
        f"{name}_ms_p99": round(float(np.quantile(steady, 0.99)), 1),
    }


if __name__ == "__main__":
    run_alone(__doc__, measure)
