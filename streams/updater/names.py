"""The catalogue as the updater reads profiles by: kept from its topic, rebuilt at most every few seconds."""

import time

import numpy as np
from confluent_kafka import Message

from streams.settings import Settings
from streams.tables import GlobalTable
from streams.topics import CATALOG
from twin_store.catalogue import Catalogue
from twin_store.dna.profile import ProductNames
from twin_store.dna.reading import Products
from twin_store.messages import CatalogItem
from twin_store.messages.codec import BadMessage, decode

REBUILD_S = 5.0
POLL_S = 0.25


class CatalogueNames:
    """Names of sections and brands for profiles."""

    def __init__(self, settings: Settings) -> None:
        self._catalogue = Catalogue(settings.currency)
        self._table = GlobalTable(settings, CATALOG, self._take)
        self._stale = True
        self._names = ProductNames.none()
        self._built = 0.0
        self._polled = 0.0
        self._table.load()

    def current(self) -> ProductNames:
        """The names as of now."""
        now = time.monotonic()
        if now - self._polled > POLL_S:
            self._table.poll()
            self._polled = now
        if self._stale and (not self._built or now - self._built > REBUILD_S):
            self._names = product_names(self._catalogue)
            self._stale = False
            self._built = now
        return self._names

    def close(self) -> None:
        """Stop reading the catalogue."""
        self._table.close()

    def _take(self, messages: list[Message]) -> None:
        items = []
        for message in messages:
            if message.value() is None:
                self._catalogue.delete((message.key() or b"").decode(errors="replace"))
                continue
            try:
                items.append(decode(CatalogItem, message.value()))
            except BadMessage:
                continue  # the indexer owns the catalogue's dead letters
        self._catalogue.put(items)
        self._stale = True


def product_names(catalogue: Catalogue) -> ProductNames:
    """Dense codes for the catalogue's sections and brands."""
    tables = catalogue.tables()
    section, sections = _dense(tables.section, catalogue)
    brand, brands = _dense(tables.brand, catalogue)
    tier = np.full(len(section), np.nan)
    products = Products(tables.keys, tables.rows, section, brand, tier, len(sections), len(brands))
    return ProductNames(products, sections, brands)


def _dense(codes: np.ndarray, catalogue: Catalogue) -> tuple[np.ndarray, list[str]]:
    keys, dense = np.unique(codes, return_inverse=True)
    names = [catalogue.text_of(key) for key in keys.tolist()]
    # Code 0 stands for "not given" and has no text.
    renumbered = np.cumsum([name is not None for name in names]) - 1
    renumbered[[name is None for name in names]] = -1
    return renumbered[dense].astype(np.int64), [name for name in names if name is not None]
