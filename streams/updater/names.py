"""The products as the updater reads profiles by: catalogue and statistics, followed on their topics.

Followed beside the lane, outside of its transactions: what profiles say by it is as of the moment they are published.
"""

import time
from functools import partial

import numpy as np
from confluent_kafka import Message

from streams.decoding import FastDecoder
from streams.settings import Settings
from streams.tables import GlobalTable, newest
from streams.topics import CATALOG, PRODUCTS
from twin_store.catalogue import Catalogue
from twin_store.dna.preferences import (
    BRAND,
    DEAL_SHARE,
    LEVELS,
    PRICE,
    SECTION,
    TIER,
    TYPE,
    USUALS,
    products_table,
)
from twin_store.dna.profile import ProductNames
from twin_store.key_index import KeyIndex
from twin_store.messages import CatalogItem, ProductStatistics
from twin_store.messages.codec import decode
from twin_store.usuals import Usuals, price_tiers

REBUILD_S = 5.0
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
        self._items_table = GlobalTable(settings, CATALOG, self._take_items)
        self._statistics_table = GlobalTable(settings, PRODUCTS, self._take_statistics)
        self._items_table.load()
        self._statistics_table.load()
        self._build()
        self._polled = self._built

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
        if self._stale and now - self._built > REBUILD_S:
            self._build()

    def close(self) -> None:
        """Stop reading."""
        self._items_table.close()
        self._statistics_table.close()

    def _build(self) -> None:
        self._names = product_names(self._catalogue, self._usuals)
        self._stale = False
        self._built = time.monotonic()

    def _take_items(self, messages: list[Message]) -> None:
        self._catalogue.update(newest(messages, self._item))
        self._stale = True

    def _take_statistics(self, messages: list[Message]) -> None:
        self._usuals.update(newest(messages, self._statistics))
        self._stale = True


def product_names(catalogue: Catalogue, usuals: Usuals) -> ProductNames:
    """What is known of the products of either: later changes of the two do not reach it."""
    known, usual_of = catalogue.tables(), usuals.tables()
    index = KeyIndex()
    listed = len(index.add(catalogue.keys()))
    rows = index.add(usual_of.keys)
    groups = np.full((len(index), LEVELS), -1, dtype=np.int64)
    names: dict[int, list[str]] = {}
    for level, codes in ((SECTION, known.section), (TYPE, known.item_type), (BRAND, known.brand)):
        groups[:listed, level], names[level] = _dense(codes[:listed], catalogue)
    usual = np.full((len(index), USUALS), np.nan)
    usual[rows, PRICE] = usual_of.price
    usual[rows, DEAL_SHARE] = usual_of.deal_share
    usual[:, TIER] = price_tiers(groups[:, SECTION], usual[:, PRICE])
    counts = np.array([len(names[level]) for level in range(LEVELS)], dtype=np.int64)
    products = products_table(index, groups, usual, counts)
    return ProductNames(products, names[SECTION], names[TYPE], names[BRAND])


def _dense(codes: np.ndarray, catalogue: Catalogue) -> tuple[np.ndarray, list[str]]:
    keys, dense = np.unique(codes, return_inverse=True)
    names = [catalogue.text_of(key) for key in keys.tolist()]
    # Code 0 stands for "not given" and has no text.
    renumbered = np.cumsum([name is not None for name in names]) - 1
    renumbered[[name is None for name in names]] = -1
    return renumbered[dense].astype(np.int64), [name for name in names if name is not None]
