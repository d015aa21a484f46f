"""The second hop: what batches added to the products of one partition, summed, kept and published.

Deltas are held back until a tick: their offsets are committed together with the statistics they changed, so
a crash reads them again. A tick comes every few seconds, and coalesces all that happened to a sku.
"""

import time
from typing import Any

import msgspec
import numpy as np
import xxhash

from streams.batch import Outbox
from streams.settings import Settings
from streams.topics import PRODUCTS, STATE
from twin_store.messages.codec import (
    FIRST_MONDAY,
    SECONDS_PER_DAY,
    instant_of,
    minor_digits,
    to_money,
    week_of_day,
)
from twin_store.messages.profiles import ProductStatistics, WeekStatistics
from twin_store.messages.wire import struct_for
from twin_store.product_statistics import (
    BUCKETS,
    W_DAY,
    W_DEAL_LINES,
    W_LINES,
    Statistics,
    bucket_price,
    combine,
    nothing,
    read_statistics,
    rows_between,
    write_statistics,
)
from twin_store.store.base import Change, StateStore
from twin_store.store.keys import PRODUCTS as PRODUCTS_PREFIX
from twin_store.store.keys import products_key

TICK_S = 5.0
SHARDS = 64
WEEKS_PUBLISHED = 12
STORES_PUBLISHED = 200

_Product, _Week = struct_for(ProductStatistics), struct_for(WeekStatistics)
_encode = msgspec.json.Encoder().encode


class ProductLane:
    """The products of one partition. Everything between two ticks can be dropped and read again.

    Args:
        tick_s: at least so long between two ticks.
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
        self._next: Statistics | None = None
        self._pending: list[Statistics] = []
        self._revision = 0
        self._ticked = time.monotonic()

    def take(self, block: bytes, next_offset: int) -> None:
        """A block of deltas, and the offset after it."""
        statistics, symbols = read_statistics(block)
        self._pending.append(statistics)
        self._symbols.update(symbols)
        self._revision = next_offset

    @property
    def waiting(self) -> bool:
        """Whether deltas are held back."""
        return bool(self._pending)

    def due(self) -> bool:
        """Whether it is time for a tick."""
        return self.waiting and time.monotonic() - self._ticked >= self._tick_s

    def tick(self, outbox: Outbox) -> list[Change]:
        """Publish what changed; returns the changelog records of the shards that changed."""
        self._next = combine(self._state, self._pending)
        changed = np.unique(np.concatenate([d.skus() for d in self._pending]))
        self._publish(outbox, self._next, changed)
        changes: list[Change] = [
            (products_key(shard), self._shard(self._next, shard))
            for shard in np.unique(changed % SHARDS).tolist()
        ]
        for key, value in changes:
            outbox.send(STATE, key, value, partition=self._partition)
        return changes

    def committed(self) -> None:
        """The tick was committed."""
        if self._next is not None:
            self._state, self._next = self._next, None
            self._pending = []
            self._ticked = time.monotonic()

    def aborted(self) -> None:
        """Deltas since the last tick will be read again."""
        self._next = None
        self._pending = []

    def _shard(self, statistics: Statistics, shard: int) -> bytes:
        tables = [
            t[t[:, 0] % SHARDS == shard] for t in (statistics.weekly, statistics.prices, statistics.stores)
        ]
        part = Statistics(*tables)
        return write_statistics(part, {key: self._symbols[key] for key in part.keys().tolist()})

    def _publish(self, outbox: Outbox, statistics: Statistics, changed: np.ndarray) -> None:
        tables = [rows_between(t, changed) for t in (statistics.weekly, statistics.prices, statistics.stores)]
        newest_monday = int(statistics.weekly[:, W_DAY].max()) if len(statistics.weekly) else FIRST_MONDAY
        for key, weekly, prices, stores in zip(changed.tolist(), *tables, strict=True):
            # Where all was taken back nothing is left, and that is to be said too.
            sku = self._symbols[key]
            message = self._message(sku, weekly, prices, stores, newest_monday)
            outbox.send(PRODUCTS, sku.encode(), _encode(message))

    def _message(
        self, sku: str, weekly: np.ndarray, prices: np.ndarray, stores: np.ndarray, newest_monday: int
    ) -> Any:
        lines = int(weekly[:, W_LINES].sum())
        digest = xxhash.xxh3_64(np.ascontiguousarray(weekly).data)
        digest.update(np.ascontiguousarray(prices).data)
        digest.update(np.ascontiguousarray(stores).data)
        listed = stores[stores[:, 2] > 0]
        names = {self._symbols[key].partition("/")[2] for key in listed[:, 1].tolist()}
        low, median, high = self._prices(prices)
        return _Product(
            sku=sku,
            as_of=instant_of((newest_monday + 6) * SECONDS_PER_DAY),
            revision=self._revision,
            content_hash=digest.hexdigest(),
            price_p10=low,
            price_median=median,
            price_p90=high,
            lines=lines,
            deal_share=round(int(weekly[:, W_DEAL_LINES].sum()) / lines, 4) if lines > 0 else 0.0,
            weeks=[
                _Week(
                    week=week_of_day(day),
                    lines=n,
                    units=units / 1000,
                    net=to_money(net, self._digits),
                    deal_lines=deals,
                )
                for _, day, n, units, net, deals in weekly[-WEEKS_PUBLISHED:].tolist()
            ],
            stores=sorted(name for name in names if name)[:STORES_PUBLISHED],
        )

    def _prices(self, prices: np.ndarray) -> tuple[str | None, str | None, str | None]:
        """The 10th, 50th and 90th percentile of the shelf price, over the lines of the newest spans."""
        counts = prices[prices[:, 2] > 0]
        if not len(counts):
            return None, None, None
        buckets = counts[:, 1] % BUCKETS
        order = np.argsort(buckets, kind="stable")
        cumulated = np.cumsum(counts[order, 2])
        at = np.searchsorted(cumulated, [cumulated[-1] * q for q in (0.1, 0.5, 0.9)])
        low, median, high = (to_money(round(bucket_price(int(b))), self._digits) for b in buckets[order][at])
        return low, median, high
