"""The catalogue and the market as the evidence reads them, kept up to date by a thread."""

import logging
import threading
from typing import Any

from confluent_kafka import Message

from streams.decoding import FastDecoder
from streams.settings import Settings
from streams.tables import GlobalTable
from streams.topics import CATALOG, PRODUCTS
from twin_store.catalogue import Catalogue
from twin_store.evidence import Products
from twin_store.market import Market
from twin_store.messages import CatalogItem, ProductStatistics
from twin_store.messages.codec import BadMessage

IDLE_S = 0.1
TAKEN_AT_ONCE = 100  # records applied under the lock: whoever answers waits for no more than these
_log = logging.getLogger(__name__)


class LiveProducts:
    """All products as of now. Hold `lock` while reading `products`."""

    def __init__(self, settings: Settings) -> None:
        """Reads both topics to their end. Raises `TwinsError` if Kafka does not answer."""
        self.lock = threading.Lock()
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
        for taken in _chunks(messages):
            items = [item for message in taken if (item := _decoded(self._item, message)) is not None]
            with self.lock:
                self.products.catalogue.put(items)
                for message in taken:
                    if message.value() is None:
                        self.products.catalogue.delete((message.key() or b"").decode(errors="replace"))

    def _take_statistics(self, messages: list[Message]) -> None:
        newest = {message.key(): message for message in messages}
        for taken in _chunks(list(newest.values())):
            found = [s for message in taken if (s := _decoded(self._statistics, message)) is not None]
            with self.lock:
                self.products.market.put(found)


def _chunks(messages: list[Message]) -> list[list[Message]]:
    return [messages[at : at + TAKEN_AT_ONCE] for at in range(0, len(messages), TAKEN_AT_ONCE)]


def _decoded(decode: FastDecoder[Any], message: Message) -> Any:
    """The message, None for a deletion and for what does not fit: the indexer sets bad ones aside."""
    try:
        return None if message.value() is None else decode(message.value())
    except BadMessage:
        return None
