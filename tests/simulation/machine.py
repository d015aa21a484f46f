"""The updater's storage in one thread: a source log, a changelog, a disk, and crashes wherever they hurt."""

import random

import numpy as np

from tests.simulation.world import Arrival
from tests.twin_store.dna.histories import click_table, columns
from tests.twin_store.dna.oracle import Click
from twin_store.dna.binary import Delta
from twin_store.dna.layout import CLICK_COLUMNS, RECEIPT_COLUMNS
from twin_store.dna.rows import empty
from twin_store.dna.twin import fold_clicks, fold_receipts
from twin_store.store.base import Change
from twin_store.store.memory import MemoryStore
from twin_store.store.twins import TwinStore


class Machine:
    """Consumes a log into twins as the updater does: changes and position are committed as one.

    The changelog and the committed position outlive every crash; the disk outlives some.
    """

    def __init__(self, log: list[Arrival], rng: random.Random) -> None:
        self._log, self._rng = log, rng
        self._changelog: list[Change] = []
        self._committed = 0
        self._disk = MemoryStore()
        self.twins = self._start()

    def run(self) -> None:
        """To the end of the log, crashing on the way."""
        while self._committed < len(self._log):
            batch = self._log[self._committed : self._committed + self._rng.randint(1, 9)]
            self._fold(batch)
            fate = self._rng.random()
            if fate < 0.10:  # the transaction is aborted
                self.twins.discard()
                continue
            if fate < 0.15:  # killed before the commit
                self.twins = self._start()
                continue
            self._changelog += self.twins.changes()
            self._committed += len(batch)
            if fate < 0.20:  # killed between the commit and the write to disk
                self.twins = self._start()
            elif fate < 0.23:  # killed, and the disk with it
                self._disk = MemoryStore()
                self.twins = self._start()
            else:
                # The position may lag behind: what is read again is whole values.
                self.twins.adopt(max(self._disk.position(), len(self._changelog) - self._rng.randint(0, 3)))

    def _start(self) -> TwinStore:
        start = self._disk.position()
        self._disk.apply(self._changelog[start:], len(self._changelog))
        return TwinStore(self._disk, hot_max=2)

    def _fold(self, batch: list[Arrival]) -> None:
        for customer in {arrival.customer for arrival in batch}:
            before = self.twins.get(customer)
            twin, receipts, clicks = before.twin, empty(RECEIPT_COLUMNS), empty(CLICK_COLUMNS)
            theirs = [arrival.what for arrival in batch if arrival.customer == customer]
            events = [what for what in theirs if not isinstance(what, Click)]
            if events:
                twin, receipts, verdicts = fold_receipts(twin, *columns(events))
                assert not np.any(verdicts == 2), "the world delays no event beyond what the fold forgives"
            looked = [what for what in theirs if isinstance(what, Click)]
            if looked:
                twin, clicks, _ = fold_clicks(twin, click_table(looked))
            if twin is not before.twin:
                self.twins.stage(customer, before, twin, Delta(receipts, clicks))
