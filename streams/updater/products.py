"""The second hop: what batches added to the products of one partition, summed, kept and published.

Deltas are held back until a tick: their offsets are committed together with the statistics they changed, so
a crash reads them again. A tick comes every few seconds, and coalesces all that happened to a sku.
"""

import time
from datetime import UTC, datetime

import numpy as np
import xxhash

from streams.batch import Outbox
from streams.settings import Settings
from streams.topics import PRODUCTS, STATE
from streams.updater import SOURCE
from twin_store.messages.codec import (
    FIRST_MONDAY,
    SECONDS_PER_DAY,
    instant_of,
    minor_digits,
    shared_headers,
)
from twin_store.messages.profiles import ProductStatistics
from twin_store.product_statistics import (
    W_DAY,
    Statistics,
    bounds_of,
    combine,
    nothing,
    read_statistics,
    write_statistics,
)
from twin_store.product_text import StoreNames, product_texts
from twin_store.store.base import Change, StateStore
from twin_store.store.keys import PRODUCTS as PRODUCTS_PREFIX
from twin_store.store.keys import products_key

TICK_S = 5.0
SHARDS = 64


class ProductLane:
    """The products of one partition. Everything between two ticks can be dropped and read again.

    Args:
        tick_s: at least so long between two ticks.

    Attributes:
        ticked: when the last tick was, monotonic seconds.
    """

    def __init__(self, settings: Settings, partition: int, store: StateStore, tick_s: float = TICK_S) -> None:
        self._tick_s = tick_s
        self._digits = minor_digits(settings.currency)
        self._partition = partition
        self._symbols: dict[int, str] = {}
        shards = []
        for _, value in store.scan(PRODUCTS_PREFIX):
            statistics, symbols = read_statistics(value)
            shards.append(statistics)
            self._symbols.update(symbols)
        self._state = combine(nothing(), shards) if shards else nothing()
        self._stores = StoreNames()
        self._stores.add(self._state.stores[:, 1], self._symbols)
        self._next: Statistics | None = None
        self._pending: list[Statistics] = []
        self._revision = 0
        self.ticked = time.monotonic()

    def take(self, block: bytes, next_offset: int) -> None:
        """A block of deltas, and the offset after it."""
        statistics, symbols = read_statistics(block)
        self._pending.append(statistics)
        self._symbols.update(symbols)
        self._stores.add(statistics.stores[:, 1], symbols)
        self._revision = next_offset

    @property
    def waiting(self) -> bool:
        """Whether deltas are held back."""
        return bool(self._pending)

    def due(self) -> bool:
        """Whether it is time for a tick."""
        return self.waiting and time.monotonic() - self.ticked >= self._tick_s

    def tick(self, outbox: Outbox) -> list[Change]:
        """Publish what changed; returns the changelog records of the shards that changed."""
        self._next = combine(self._state, self._pending)
        changed = np.unique(np.concatenate([d.skus() for d in self._pending]))
        self._publish(outbox, self._next, changed)
        changes = self._shards(self._next, np.unique(changed % SHARDS))
        for key, value in changes:
            outbox.send(STATE, key, value, partition=self._partition)
        return changes

    def committed(self) -> None:
        """The tick was committed."""
        if self._next is not None:
            self._state, self._next = self._next, None
            self._pending = []
            self.ticked = time.monotonic()

    def aborted(self) -> None:
        """Deltas since the last tick will be read again."""
        self._next = None
        self._pending = []

    def _shards(self, statistics: Statistics, wanted: np.ndarray) -> list[Change]:
        """The changelog records of these shards."""
        pieces = []
        for table in (statistics.weekly, statistics.prices, statistics.stores):
            shard_of = table[:, 0] % SHARDS
            order = np.argsort(shard_of, kind="stable")
            ends = np.cumsum(np.bincount(shard_of, minlength=SHARDS))
            pieces.append([table[rows] for rows in np.split(order, ends[:-1])])
        changes: list[Change] = []
        for shard in wanted.tolist():
            part = Statistics(*(piece[shard] for piece in pieces))
            symbols = {key: self._symbols[key] for key in part.keys().tolist()}
            changes.append((products_key(shard), write_statistics(part, symbols)))
        return changes

    def _publish(self, outbox: Outbox, statistics: Statistics, changed: np.ndarray) -> None:
        """One message a product that changed. In backlogs most do, so little is done for each.

        Where all was taken back nothing is left, and that is to be said too.
        """
        newest_monday = int(statistics.weekly[:, W_DAY].max()) if len(statistics.weekly) else FIRST_MONDAY
        as_of = instant_of((newest_monday + 6) * SECONDS_PER_DAY)
        skus = [self._symbols[key] for key in changed.tolist()]
        texts = product_texts(
            statistics, changed, skus, _hashes(statistics, changed), self._stores.table(), as_of,
            self._revision, self._digits,
        )  # fmt: skip
        headers = shared_headers(ProductStatistics, SOURCE, datetime.now(UTC))
        revision = f"@{self._revision}".encode()
        for sku, text in zip(skus, texts, strict=True):
            key = sku.encode()
            outbox.send(PRODUCTS, key, text, [*headers, ("ce_id", key + revision)])


def _hashes(statistics: Statistics, changed: np.ndarray) -> list[str]:
    """The content hash of each of these products, over its rows of all tables."""
    tables = (statistics.weekly, statistics.prices, statistics.stores)
    raw = [table.tobytes() for table in tables]
    widths = [table.shape[1] * table.itemsize for table in tables]
    bounds = [
        (column * width).tolist()
        for table, width in zip(tables, widths, strict=True)
        for column in bounds_of(table, changed)
    ]
    hashes = []
    for w, w_end, p, p_end, s, s_end in zip(*bounds, strict=True):
        digest = xxhash.xxh3_64(raw[0][w:w_end])
        digest.update(raw[1][p:p_end])
        digest.update(raw[2][s:s_end])
        hashes.append(digest.hexdigest())
    return hashes
