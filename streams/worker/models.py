"""The decider that answers now, over a catalogue and a market that follow their topics."""

import logging
import time

from confluent_kafka import Message

from streams.settings import Settings
from streams.tables import GlobalTable
from streams.topics import CATALOG, PRODUCTS
from trainer.deciders.base import Decider
from trainer.deciders.evidence import EvidenceDecider
from trainer.fitted import DECIDER
from trainer.registry import Registry, RegistryError
from twin_store.catalogue import Catalogue
from twin_store.evidence import Products
from twin_store.market import Market
from twin_store.messages import CatalogItem, ProductStatistics
from twin_store.messages.codec import BadMessage, decode

LOOK_EVERY_S = 2.0
POLL_EVERY_S = 0.25
_log = logging.getLogger(__name__)


class Models:
    """The current version of the registry, taken up within seconds of its release, without a restart."""

    def __init__(self, settings: Settings) -> None:
        self._registry = Registry(settings.models)
        self._catalogue = Catalogue(settings.currency)
        self._market = Market(settings.currency)
        self._products = Products(self._catalogue, self._market, settings.currency)
        self._tables = (
            GlobalTable(settings, CATALOG, self._take_items),
            GlobalTable(settings, PRODUCTS, self._take_statistics),
        )
        for table in self._tables:
            table.load()
        self._decider: Decider | None = None
        self._looked = self._polled = 0.0

    def current(self) -> Decider | None:
        """The decider; None before the first version."""
        now = time.monotonic()
        if now - self._polled > POLL_EVERY_S:
            for table in self._tables:
                table.poll()
            self._polled = now
        if now - self._looked > LOOK_EVERY_S:
            self._looked = now
            self._look()
        return self._decider

    def close(self) -> None:
        """Stop following."""
        for table in self._tables:
            table.close()

    def _look(self) -> None:
        version = self._registry.current(DECIDER)
        if version is None or (self._decider is not None and self._decider.version == version):
            return
        try:
            self._decider = EvidenceDecider.load(self._registry, version, self._products)
        except RegistryError as error:
            # Whoever answered goes on; a bad version is looked at again with the next release.
            _log.error("version %s is refused: %s", version, error)
        else:
            _log.info("version %s answers from now on", version)

    def _take_items(self, messages: list[Message]) -> None:
        items = []
        for message in messages:
            if message.value() is None:
                self._catalogue.delete((message.key() or b"").decode(errors="replace"))
                continue
            try:
                items.append(decode(CatalogItem, message.value()))
            except BadMessage:
                continue  # the indexer sets it aside
        self._catalogue.put(items)

    def _take_statistics(self, messages: list[Message]) -> None:
        self._market.put([decode(ProductStatistics, m.value()) for m in messages if m.value() is not None])
