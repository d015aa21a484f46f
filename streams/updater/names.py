"""The products as the updater reads profiles by: catalogue and statistics, followed on their topics.

Followed beside the lane, outside of its transactions: what profiles say by it is as of the moment they are published.
"""

import time
from functools import partial

from confluent_kafka import Message

from streams.decoding import FastDecoder
from streams.settings import Settings
from streams.tables import PROCESS_PATIENCE_S, GlobalTable, newest
from streams.topics import CATALOG, PRODUCTS
from twin_store.catalogue import Catalogue
from twin_store.dna.profile import ProductNames
from twin_store.messages import CatalogItem, ProductStatistics
from twin_store.messages.codec import decode
from twin_store.product_names import product_names
from twin_store.usuals import Usuals

REBUILD_S = 5.0
REBUILD_SHARE = 0.01  # of the time goes to rebuilding at most: receipts wait meanwhile
POLL_S = 0.25
# While history is replayed all products change every few seconds. Usual prices can wait, the lane cannot: this many
# take it 4 ms.
STATISTICS_AT_ONCE = 1_000


class LiveNames:
    """The names for profiles, as of the last rebuild: every few seconds while something changes."""

    def __init__(self, settings: Settings) -> None:
        """Reads both topics to their end. Raises `TwinsError` if Kafka does not answer."""
        self._catalogue = Catalogue(settings.currency)
        self._usuals = Usuals(settings.currency)
        self._item = partial(decode, CatalogItem)
        self._statistics = FastDecoder(
            ProductStatistics, only=("version", "sku", "price_median", "lines", "deal_share")
        )
        self._items_table = GlobalTable(settings, CATALOG, self._take_items, PROCESS_PATIENCE_S)
        self._statistics_table = GlobalTable(settings, PRODUCTS, self._take_statistics, PROCESS_PATIENCE_S)
        self._items_table.load()
        self._statistics_table.load()
        self._build()
        self._polled = time.monotonic()

    def current(self) -> ProductNames:
        """The names as of the last rebuild."""
        return self._names

    def refresh(self) -> None:
        """Take what has come, if it is time to: call it in every round of the lane."""
        now = time.monotonic()
        if now - self._polled > POLL_S:
            self._items_table.poll()
            self._statistics_table.poll(STATISTICS_AT_ONCE)
            self._polled = now
        if self._stale and now > self._no_build_before:
            self._build()

    def close(self) -> None:
        """Stop reading."""
        self._items_table.close()
        self._statistics_table.close()

    def _build(self) -> None:
        began = time.monotonic()
        self._names = product_names(self._catalogue, self._usuals)
        self._stale = False
        now = time.monotonic()
        self._no_build_before = now + max(REBUILD_S, (now - began) / REBUILD_SHARE)

    def _take_items(self, messages: list[Message]) -> None:
        self._catalogue.update(newest(messages, self._item))
        self._stale = True

    def _take_statistics(self, messages: list[Message]) -> None:
        self._usuals.update(newest(messages, self._statistics))
        self._stale = True
