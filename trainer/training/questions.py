"""Cases with what could be known at their time: evidence, segment, and the scene that a prompt is rendered from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from trainer.deciders.language.scenes import CatalogueNames
from trainer.tasks.cases import Case
from trainer.tasks.history import History
from trainer.tasks.table import Table
from trainer.tasks.workshop import Workshop
from twin_store.dna.profile import ProductNames, ProfileWriter
from twin_store.dna.twin import rewind
from twin_store.product_names import product_names
from twin_store.prompts import Buckets, Prompt, Scene, render
from twin_store.segments import load_definitions
from twin_store.symbols import key_of, visit_name
from twin_store.usuals import Usuals


@dataclass(frozen=True)
class Asked:
    """Cases of one kind in order of time, with their evidence.

    Attributes:
        table: a row a label; `table.cases` numbers `cases`.
    """

    cases: list[Case]
    table: Table

    def __len__(self) -> int:
        return len(self.cases)

    @cached_property
    def starts(self) -> np.ndarray:
        """Where the rows of each case begin in the table, and where the last ends: int64 [cases + 1]."""
        return np.append(np.unique(self.table.cases, return_index=True)[1], len(self.table))

    @cached_property
    def segments(self) -> list[str]:
        """By case, the segment that the customer's twin was in."""
        assert self.table.segments is not None, "tables that a workshop builds have them"
        found: list[str] = self.table.segments[self.starts[:-1]].tolist()
        return found

    def where(self, keep: np.ndarray) -> "Asked":
        """The cases where the mask [cases] is true."""
        numbers = np.flatnonzero(keep)
        table = self.table.where(keep[self.table.cases])
        renumbered = np.searchsorted(numbers, table.cases)
        return Asked(
            [self.cases[i] for i in numbers.tolist()],
            replace(table, cases=renumbered),
        )

    @property
    def customers(self) -> np.ndarray:
        """The customer of each row: str [rows]."""
        return np.array([case.customer_id for case in self.cases])[self.table.cases]


class Examiner:
    """Puts cases to the twins of a workshop's history. Not thread-safe."""

    def __init__(self, workshop: Workshop) -> None:
        """`called` is what products are called, by sku."""
        self._workshop = workshop
        self._definitions = load_definitions()
        self.called = CatalogueNames(workshop.products.catalogue)
        self._writer = ProfileWriter(workshop.products.currency)

    def ask(self, cases: Sequence[Case]) -> Asked:
        """Evidence and segments of cases of one kind, each as of its time."""
        ordered = sorted(cases, key=lambda case: case.as_of)
        return Asked(ordered, self._workshop.table(ordered, exact=True))

    def prompts(self, asked: Asked, buckets: Buckets) -> Iterator[tuple[int, list[Prompt]]]:
        """The prompts of each case, by its number, customer by customer: the very ones that serving would send."""
        for i, twin in self._workshop.replay.twins(asked.cases):
            case = asked.cases[i]
            dna = None
            if not buckets.is_silent("dna"):
                dna = self._writer.dna(rewind(twin, case.as_of), self._names, self._symbols)
            evidence = asked.table.evidence[asked.starts[i] : asked.starts[i + 1]]
            segment = self._definitions.segment(asked.segments[i])
            yield i, render(Scene(case.question, segment, dna, evidence, self.called), buckets)

    @cached_property
    def _names(self) -> ProductNames:
        return product_names(self._workshop.products.catalogue, Usuals(self._workshop.products.currency))

    @cached_property
    def _symbols(self) -> Mapping[int, str]:
        return symbols_of(self._workshop.history)


def symbols_of(history: History) -> dict[int, str]:
    """What the keys in the twins of a history stand for: skus, and places by channel and store."""
    places = history.lines.select("channel", "store_id").unique()
    names = [visit_name(channel, store) for channel, store in places.iter_rows()]
    skus = history.lines.select(pl.col("sku").drop_nulls().unique())["sku"].to_list()
    return {key_of(text): text for text in (*skus, *names)}
