"""The second hop: what batches added to the products of one partition, summed, kept and published.

Deltas are held back until a tick: their offsets are committed together with the statistics they changed, so
a crash reads them again. A tick comes every few seconds, and coalesces all that happened to a sku.
"""

import time
from datetime import UTC, datetime
from typing import Any

import msgspec
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
    to_money,
    week_of_day,
)
from twin_store.messages.profiles import ProductStatistics, WeekStatistics
from twin_store.messages.wire import struct_for
from twin_store.product_statistics import (
    W_DAY,
    W_DEAL_LINES,
    W_LINES,
    Statistics,
    bounds_of,
    combine,
    nothing,
    price_levels,
    read_statistics,
    write_statistics,
)
from twin_store.store.base import Change, StateStore
from twin_store.store.keys import PRODUCTS as PRODUCTS_PREFIX
from twin_store.store.keys import products_key
from twin_store.symbols import visit_parts

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
        self._next: Statistics | None = None
        self._pending: list[Statistics] = []
        self._revision = 0
        self.ticked = time.monotonic()

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
        weekly, prices, stores = statistics.weekly, statistics.prices, statistics.stores
        bounds = [bounds_of(table, changed) for table in (weekly, prices, stores)]
        levels = price_levels(prices, *bounds[1])
        raw = [table.tobytes() for table in (weekly, prices, stores)]
        widths = [table.shape[1] * table.itemsize for table in (weekly, prices, stores)]
        newest_monday = int(weekly[:, W_DAY].max()) if len(weekly) else FIRST_MONDAY
        as_of = instant_of((newest_monday + 6) * SECONDS_PER_DAY)
        headers = shared_headers(ProductStatistics, SOURCE, datetime.now(UTC))
        places = zip(*(column.tolist() for pair in bounds for column in pair), strict=True)
        for key, level, (w, w_end, p, p_end, s, s_end) in zip(
            changed.tolist(), levels.tolist(), places, strict=True
        ):
            digest = xxhash.xxh3_64(raw[0][w * widths[0] : w_end * widths[0]])
            digest.update(raw[1][p * widths[1] : p_end * widths[1]])
            digest.update(raw[2][s * widths[2] : s_end * widths[2]])
            sku = self._symbols[key]
            message = self._message(
                sku, as_of, digest.hexdigest(), level, weekly[w:w_end].tolist(), stores[s:s_end].tolist()
            )
            event_id = f"{sku}@{self._revision}".encode()
            outbox.send(PRODUCTS, sku.encode(), _encode(message), [*headers, ("ce_id", event_id)])

    def _message(
        self,
        sku: str,
        as_of: datetime,
        content_hash: str,
        levels: list[int],
        weekly: list[list[int]],
        stores: list[list[int]],
    ) -> Any:
        digits = self._digits
        lines = sum([row[W_LINES] for row in weekly])
        deal_lines = sum([row[W_DEAL_LINES] for row in weekly])
        names = {visit_parts(self._symbols[key])[1] for _, key, count in stores if count > 0}
        low, median, high = (None if level < 0 else to_money(level, digits) for level in levels)
        return _Product(
            sku=sku,
            as_of=as_of,
            revision=self._revision,
            content_hash=content_hash,
            price_p10=low,
            price_median=median,
            price_p90=high,
            lines=lines,
            deal_share=round(deal_lines / lines, 4) if lines > 0 else 0.0,
            weeks=[
                _Week(
                    week=week_of_day(day),
                    lines=n,
                    units=units / 1000,
                    net=to_money(net, digits),
                    deal_lines=deals,
                )
                for _, day, n, units, net, deals in weekly[-WEEKS_PUBLISHED:]
            ],
            stores=sorted([name for name in names if name])[:STORES_PUBLISHED],
        )
