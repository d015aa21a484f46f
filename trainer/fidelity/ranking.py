"""The next basket as a ranking: what she may buy is proposed from her twin and the market, then asked about.

Each proposed product is put to the decider as a purchase question, so the order is that of the probabilities that
are answered live.
"""

from collections.abc import Sequence

import numpy as np

from twin_store.dna.layout import C_DAY, C_LINES, C_SKU
from twin_store.dna.twin import Twin
from twin_store.key_index import find_all
from twin_store.market import W_LINES, W_WEEK, Market
from twin_store.messages.codec import SECONDS_PER_DAY, week_of_day

OWN, BEST_SELLERS = 60, 40  # proposed: of what she bought, and of what sells best
SELLERS_KEPT = 260  # no more than are ever proposed to somebody who bought the best of them
HALVING_DAYS = 60.0  # a purchase counts half as much after so long
SELLING_WEEKS = 4


def proposals(
    twin: Twin, as_of: int, best_sellers: Sequence[str], names: dict[int, str], k: int = 0
) -> list[str]:
    """Skus to ask about: hers with the most recent and frequent purchases first, then what sells best.

    Args:
        names: sku by key; hers that are not in it are left out.
        k: so many are ranked, so that at least as many best sellers are proposed.
    """
    cells = twin.cells[twin.cells[:, C_LINES] > 0]
    found: list[str] = []
    if len(cells):
        keys, rows = np.unique(cells[:, C_SKU], return_inverse=True)
        ages = as_of // SECONDS_PER_DAY - cells[:, C_DAY]
        weights = np.bincount(rows, 0.5 ** (ages / HALVING_DAYS))
        order = np.argsort(-weights, kind="stable")[:OWN]
        found = [names[key] for key in keys[order].tolist() if key in names]
    own = set(found)
    return found + [sku for sku in best_sellers if sku not in own][: max(BEST_SELLERS, k)]


class BestSellers:
    """What sold most lines in the completed weeks before a moment."""

    def __init__(self, market: Market, names: dict[int, str]) -> None:
        self._tables = market.tables()
        self._keys = np.array(list(names), dtype=np.int64)
        self._names = names
        self._weeks: dict[int, list[str]] = {}

    def at(self, as_of: int) -> list[str]:
        """The skus, best first."""
        week = week_of_day(as_of // SECONDS_PER_DAY)
        if week not in self._weeks:
            self._weeks[week] = self._before(week)
        return self._weeks[week]

    def _before(self, week: int) -> list[str]:
        tables = self._tables
        rows = find_all(tables.keys, tables.rows, self._keys)
        keys, rows = self._keys[rows >= 0], rows[rows >= 0]
        sold = np.zeros(len(rows), dtype=np.int64)
        for i, row in enumerate(rows.tolist()):
            weeks = tables.weeks[tables.starts[row] : tables.starts[row] + tables.lengths[row]]
            recent = (weeks[:, W_WEEK] < week) & (weeks[:, W_WEEK] >= week - SELLING_WEEKS)
            sold[i] = weeks[recent, W_LINES].sum()
        order = np.argsort(-sold, kind="stable")[:SELLERS_KEPT]
        return [self._names[key] for key in keys[order][sold[order] > 0].tolist()]
