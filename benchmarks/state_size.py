"""State that does not grow with history: a twin's bytes, the updater's memory and the cost of a line, year by year.

    python -m benchmarks.state_size [--customers N] [--years N] [--json]

The Complete Journey again and again, each time a year of whole weeks later and under other transaction ids, through
one updater on a core of its own. Each year is on the broker before the updater gets any of it, but a batch holds about
one receipt a customer, as in live use, so that a twin is written often. Nothing is restarted or cleaned up in between,
and the profiles must add up to all the years.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from typing import Any

from benchmarks.batches import add_up
from benchmarks.command import run_alone
from benchmarks.deployment import warm_site
from benchmarks.machine import measured_core, memory_bytes, other_cores
from benchmarks.progress import say
from benchmarks.receipts import HeldBack, Totals, check_totals
from benchmarks.updaters import Updaters, running
from streams.settings import Settings
from streams.sources.complete_journey import CompleteJourney
from streams.sources.complete_journey.receipts import ROUND_SECONDS
from streams.sources.complete_journey.tables import START_SECONDS
from streams.sources.record import Record
from streams.topics import TRANSACTIONS
from streams.updater.partition import partition_folder
from twin_store.dna.binary import write_twin
from twin_store.store.keys import TWIN, customer_of
from twin_store.store.rocks import RocksStore
from twin_store.store.twins import TwinStore

COMPARED = ("twin_bytes", "state_bytes_per_customer", "memory_mib", "cpu_us_per_line")


def measure(customers: int = 400, years: int = 4) -> dict[str, Any]:
    """Figures after each year, and what the last one added: by then all windows have been full for a while."""
    with warm_site(other_cores()) as site:
        settings = site.deployment("years", batch_max_messages=customers)
        found = []
        with running(settings, [{measured_core()}]) as updaters:
            for receipts in _by_year(customers, years):
                found.append(_fold_year(settings, updaters, customers, receipts))
                say(f"year {len(found)}: {found[-1]['twin_bytes']:,} bytes a twin")
        check_totals(
            settings, Totals(sum(year["lines"] for year in found), sum(year["cents"] for year in found))
        )
    ratios = {f"{name}_grew": round(found[-1][name] / found[-2][name], 3) for name in COMPARED}
    return {"customers": customers, **ratios, "years": found}


def _by_year(customers: int, years: int) -> Iterator[list[Record]]:
    records = CompleteJourney().records(customers=customers, topics=(TRANSACTIONS,), rounds=years)
    for _, receipts in itertools.groupby(
        records, lambda each: (each.at_seconds - START_SECONDS) // ROUND_SECONDS
    ):
        yield list(receipts)


def _fold_year(
    settings: Settings, updaters: Updaters, customers: int, records: list[Record]
) -> dict[str, Any]:
    updater = updaters.members[0]
    before = len(updater.batches)
    receipts = HeldBack(settings, records)
    receipts.release()
    updaters.wait_for(sum(batch.lines for batch in updater.batches[:before]) + receipts.totals.lines)
    updaters.wait_for_products()
    run = add_up([updater.batches[before:]])
    twins, everything = _state_bytes(settings)
    return {
        "lines": run.lines,
        "cents": receipts.totals.cents,
        "cpu_us_per_line": round(run.cpu_us_per_line, 2),
        "memory_mib": round(memory_bytes(updater.pid) / 2**20),
        "twin_bytes": round(twins / customers),
        "state_bytes_per_customer": round(everything / customers),
    }


def _state_bytes(settings: Settings) -> tuple[int, int]:
    """Bytes of all twins as they would be written now; and of all records: deltas, products and symbols too.

    Older values that are yet to be compacted away do not count. Read from a copy: the updater, which is idle now, holds
    the store itself.
    """
    twins = everything = 0
    copy = settings.data_dir / "copy"
    for partition in range(settings.partitions):
        shutil.copytree(partition_folder(settings, partition), copy)
        (copy / "LOCK").unlink()
        store = RocksStore(copy)
        everything += sum(len(key) + len(value) for key, value in store.scan(b""))
        customers = {customer_of(key) for key, _ in store.scan(TWIN)}
        decoded = TwinStore(store)
        twins += sum(len(write_twin(decoded.get(customer).twin, 0)) for customer in customers)
        decoded.close()
        shutil.rmtree(copy)
    return twins, everything


if __name__ == "__main__":
    run_alone(__doc__, measure)
