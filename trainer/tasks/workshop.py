"""A history made ready: cases can be drawn from it, and their evidence read as of their time."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from trainer.fit_affinity import fit_affinity
from trainer.purchases import Purchases
from trainer.tasks.cases import Case
from trainer.tasks.history import History
from trainer.tasks.replay import Replay, keys_of
from trainer.tasks.shop import Shop
from trainer.tasks.table import Table, build_table
from trainer.tasks.vouchers import campaign_rates
from twin_store.affinity import Affinity
from twin_store.catalogue import Catalogue
from twin_store.evidence import EvidenceReader, Products
from twin_store.market import Market
from twin_store.messages.codec import SECONDS_PER_DAY

BLOCK_DAYS = 28  # affinity is fitted anew for each block of cases, on what came before the block
WARM_UP_DAYS = 56  # no cases before this much history


class Workshop:
    """See the module. `shop` is what cases are drawn from, between `first_case` and `end` (epoch seconds)."""

    def __init__(self, history: History, say: Callable[[str], None] = lambda line: None) -> None:
        self.history = history
        self.first_case = int(history.lines["second"].min() or 0) + WARM_UP_DAYS * SECONDS_PER_DAY  # type: ignore[arg-type]
        self.end = history.until
        self.shop = Shop.of(history)
        self.replay = Replay(history)
        catalogue = Catalogue.from_frame(history.catalogue, history.currency)
        self.products = Products(catalogue, market_of(history), history.currency)
        self._purchases = Purchases.of(history, catalogue)
        self._blocks = np.arange(self.first_case, self.end, BLOCK_DAYS * SECONDS_PER_DAY)
        say(f"{len(self.shop.trips):,} trips, {len(catalogue):,} products")
        self._readers: dict[int, EvidenceReader] = {}

    def affinity(self, before: int) -> Affinity:
        """Fitted on what came before a moment alone."""
        # Rates of campaigns that were over by then; those that still ran would tell the future.
        known = replace(
            self.history, lines=self.history.lines.filter(pl.col("second") < before), until=before
        )
        return fit_affinity(self._purchases.before(before), campaign_rates(known))

    def table(self, cases: Sequence[Case], stale_days: int = 0, exact: bool = False) -> Table:
        """The evidence of cases of one kind, rows in order of time; see `build_table`."""
        ordered = sorted(cases, key=lambda case: case.as_of)
        return build_table(ordered, self.replay, self._reader_at, stale_days, exact=exact)

    def _reader_at(self, second: int) -> EvidenceReader:
        block = int(np.searchsorted(self._blocks, second, side="right")) - 1
        if block not in self._readers:
            known = Affinity.empty() if block < 0 else self.affinity(int(self._blocks[block]))
            self._readers[block] = EvidenceReader(self.products, known)
        return self._readers[block]


def market_of(history: History) -> Market:
    """The market that a history's receipts make."""
    weekly = history.weekly()
    keyed = weekly.with_columns(pl.Series("sku_key", keys_of(weekly["sku"]), dtype=pl.Int64))
    market = Market.from_weeks(keyed, history.currency)
    listed = history.listed()
    if listed.height:
        market.list_at(keys_of(listed["sku"]), keys_of(listed["store_id"]), listed["week"].to_numpy())
    return market
