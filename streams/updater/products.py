"""The second hop: what batches added to the products of one partition, summed, kept and published.

Deltas are held back until a tick and coalesce all that happened to a sku. Receipts wait while a tick is made, so a tick
publishes a part of the products, and the parts have theirs at different times. A crash reads again all blocks since
the oldest whose deltas some part still held back; what a part has of them already is told by the revisions of its
changelog records.
"""

import time
from datetime import UTC, datetime

import msgspec
import numpy as np
import xxhash

from streams.batch import Outbox
from streams.settings import Settings
from streams.topics import PRODUCTS, STATE
from streams.updater import SOURCE
from streams.updater.product_part import ProductPart
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
    TableBounds,
    read_statistics,
    write_statistics,
)
from twin_store.product_text import StoreNames, product_texts
from twin_store.store.base import Change, StateStore
from twin_store.store.keys import PRODUCTS as PRODUCTS_PREFIX
from twin_store.store.keys import products_key

TICK_S = 5.0
SHARDS = 64  # changelog records of a partition
PARTS = 8  # of as many shards each
TICK_ROWS = 20_000  # of deltas: a tick takes parts until it has so many, which is some tens of milliseconds
_SHARDS_EACH = SHARDS // PARTS


class ProductLane:
    """The products of one partition.

    Args:
        tick_s: at least so long between two ticks of a part.
        tick_rows: a tick takes parts until it has so many rows of deltas.
    """

    def __init__(
        self,
        settings: Settings,
        partition: int,
        store: StateStore,
        tick_s: float = TICK_S,
        tick_rows: int = TICK_ROWS,
    ) -> None:
        self._tick_s, self._tick_rows = tick_s, tick_rows
        self._digits = minor_digits(settings.currency)
        self._partition = partition
        self._symbols: dict[int, str] = {}
        self._stores = StoreNames()
        self._revision = 0
        self._newest_monday = FIRST_MONDAY
        # Up to which block a shard has everything: the offset behind it.
        self._revisions = np.zeros(SHARDS, dtype=np.int64)
        shards: list[list[Statistics]] = [[] for _ in range(PARTS)]
        for key, value in store.scan(PRODUCTS_PREFIX):
            shard = int.from_bytes(key[len(PRODUCTS_PREFIX) :], "big")
            self._revisions[shard], written = msgspec.msgpack.decode(value, type=tuple[int, bytes])
            statistics, symbols = read_statistics(written)
            self._know(statistics, symbols)
            shards[shard // _SHARDS_EACH].append(statistics)
        self._parts = [ProductPart(of_part) for of_part in shards]
        self._ticking: list[ProductPart] = []
        self._written: list[int] = []

    def take(self, block: bytes, next_offset: int) -> None:
        """A block of deltas, and the offset after it."""
        deltas, symbols = read_statistics(block)
        self._know(deltas, symbols)
        self._revision = next_offset
        if next_offset <= self._revisions.max():  # read again after a crash: some shards have it
            has_it = self._revisions >= next_offset
            deltas = deltas.where(lambda keys: ~has_it[keys % SHARDS])
        by_part = deltas.split(lambda keys: keys % SHARDS // _SHARDS_EACH, PARTS)
        for part, of_part in zip(self._parts, by_part, strict=True):
            part.take(of_part, next_offset - 1)

    def held_back(self) -> int | None:
        """The offset of the oldest block of which deltas wait and are in no tick; None if there is none."""
        return min(
            (p.since for p in self._parts if p.since is not None and p not in self._ticking), default=None
        )

    def due_since(self) -> float | None:
        """When the part ticked last that has waited longest, of those that are due; None if none is."""
        return min((part.ticked for part in self._due()), default=None)

    def tick(self, outbox: Outbox) -> list[Change]:
        """Publish what changed in the parts that have waited longest; returns the shards' changelog records."""
        rows = 0
        for part in sorted(self._due(), key=lambda part: part.ticked):
            if self._ticking and rows + part.rows > self._tick_rows:
                break
            rows += part.rows
            self._ticking.append(part)
        changes: list[Change] = []
        for part in self._ticking:
            statistics, changed = part.add_up()
            self._publish(outbox, statistics, changed)
            changes += self._records(statistics, np.unique(changed % SHARDS))
        for key, value in changes:
            outbox.send(STATE, key, value, partition=self._partition)
        return changes

    def committed(self) -> None:
        """The tick was committed."""
        for part in self._ticking:
            part.adopt()
        self._revisions[self._written] = self._revision
        self._ticking, self._written = [], []

    def aborted(self) -> None:
        """What waits will be read again."""
        for part in self._parts:
            part.drop()
        self._ticking, self._written = [], []

    def _know(self, statistics: Statistics, symbols: dict[int, str]) -> None:
        self._symbols.update(symbols)
        self._stores.add(statistics.stores[:, 1], symbols)
        if len(statistics.weekly):
            self._newest_monday = max(self._newest_monday, int(statistics.weekly[:, W_DAY].max()))

    def _due(self) -> list[ProductPart]:
        last = time.monotonic() - self._tick_s
        return [part for part in self._parts if part.since is not None and part.ticked <= last]

    def _records(self, statistics: Statistics, shards: np.ndarray) -> list[Change]:
        """The changelog records of these shards."""
        by_shard = statistics.split(lambda keys: keys % SHARDS, SHARDS)
        changes: list[Change] = []
        for shard in shards.tolist():
            symbols = {key: self._symbols[key] for key in by_shard[shard].keys().tolist()}
            record = self._revision, write_statistics(by_shard[shard], symbols)
            changes.append((products_key(shard), msgspec.msgpack.encode(record)))
            self._written.append(shard)
        return changes

    def _publish(self, outbox: Outbox, statistics: Statistics, changed: np.ndarray) -> None:
        """One message a product that changed. In backlogs most do, so little is done for each.

        Where all was taken back nothing is left, and that is to be said too.
        """
        as_of = instant_of((self._newest_monday + 6) * SECONDS_PER_DAY)
        skus = [self._symbols[key] for key in changed.tolist()]
        bounds = statistics.bounds_of(changed)
        texts = product_texts(
            statistics, bounds, skus, _hashes(statistics, bounds), self._stores.table(), as_of, self._revision,
            self._digits,
        )  # fmt: skip
        headers = shared_headers(ProductStatistics, SOURCE, datetime.now(UTC))
        revision = f"@{self._revision}".encode()
        for sku, text in zip(skus, texts, strict=True):
            key = sku.encode()
            outbox.send(PRODUCTS, key, text, [*headers, ("ce_id", key + revision)])


def _hashes(statistics: Statistics, bounds: TableBounds) -> list[str]:
    """The content hash of each of these products, over its rows of all tables."""
    tables = (statistics.weekly, statistics.prices, statistics.stores)
    raw = [table.tobytes() for table in tables]
    widths = [table.shape[1] * table.itemsize for table in tables]
    columns = [(rows * width).tolist() for pair, width in zip(bounds, widths, strict=True) for rows in pair]
    hashes = []
    for w, w_end, p, p_end, s, s_end in zip(*columns, strict=True):
        digest = xxhash.xxh3_64(raw[0][w:w_end])
        digest.update(raw[1][p:p_end])
        digest.update(raw[2][s:s_end])
        hashes.append(digest.hexdigest())
    return hashes
