"""The catalogue and the market as the evidence reads them, kept up to date by a thread."""

import logging
import threading
from collections.abc import Iterator, Mapping
from typing import TypeVar

from confluent_kafka import Message

from streams.decoding import FastDecoder
from streams.settings import Settings
from streams.tables import GlobalTable, newest
from streams.topics import CATALOG, PRODUCTS
from twin_store.catalogue import Catalogue
from twin_store.evidence import Products
from twin_store.market import Market
from twin_store.messages import CatalogItem, ProductStatistics

M = TypeVar("M")

IDLE_S = 0.1
TAKEN_AT_ONCE = 100  # records applied under the lock: whoever answers waits for no more than these
_log = logging.getLogger(__name__)


class LiveProducts:
    """All products as of now. Hold `lock` while reading `products`."""

    def __init__(self, settings: Settings) -> None:
        """Reads both topics to their end. Raises `TwinsError` if Kafka does not answer."""
        self.lock = threading.RLock()
        self.products = Products(Catalogue(settings.currency), Market(settings.currency), settings.currency)
        self._item = FastDecoder(CatalogItem)
        self._statistics = FastDecoder(ProductStatistics)
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self._tables = [
            GlobalTable(settings, CATALOG, self._take_items),
            GlobalTable(settings, PRODUCTS, self._take_statistics),
        ]
        for table in self._tables:
            table.load()
        self._thread = threading.Thread(target=self._run, name="products", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises what stopped the thread, if anything did."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        for table in self._tables:
            table.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if sum(table.poll() for table in self._tables) == 0:
                    self._stop.wait(IDLE_S)
        except Exception as error:
            _log.exception("products cannot be read any more")
            self._failure = error

    def _take_items(self, messages: list[Message]) -> None:
        for changes in _chunks(newest(messages, self._item)):
            with self.lock:
                self.products.catalogue.update(changes)

    def _take_statistics(self, messages: list[Message]) -> None:
        for changes in _chunks(newest(messages, self._statistics)):
            with self.lock:
                self.products.market.put(found for found in changes.values() if found is not None)


def _chunks(changes: Mapping[str, M]) -> Iterator[dict[str, M]]:
    items = list(changes.items())
    for start in range(0, len(items), TAKEN_AT_ONCE):
        yield dict(items[start : start + TAKEN_AT_ONCE])
