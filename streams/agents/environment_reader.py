"""Fills the environment from its topics, in a thread: every planner needs all of it, whatever partitions it has."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

from confluent_kafka import Message

from streams.decoding import FastDecoder, M
from streams.environment import Environment
from streams.settings import Settings
from streams.tables import PROCESS_PATIENCE_S, GlobalTable
from streams.topics import CATALOG, PRODUCTS, PROMOTIONS
from twin_store.messages import CatalogItem, ProductStatistics, Promotion
from twin_store.messages.codec import BadMessage

IDLE_S = 0.05
CATCH_UP_S = 10.0
SETTLED_S = 1.0  # a campaign's coupons follow it; this long without a promotion and they are all in
_log = logging.getLogger(__name__)


class EnvironmentReader:
    """Reads promotions, catalogue and statistics from their beginning, and then what comes.

    Messages that do not fit are left out: their owners, which read each once, write the dead letters. Of promotions
    that is the planner's `PromotionDesk`, of the catalogue the indexer; statistics are the updater's own.
    """

    def __init__(self, settings: Settings, environment: Environment) -> None:
        self.failure: BaseException | None = None
        self._settings = settings
        self._environment = environment
        self._loaded = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="environment", daemon=True)
        self._rounds = 0
        self._changed_at = time.monotonic()
        self._is_settled = False
        self._promotion = FastDecoder(Promotion)
        self._item = FastDecoder(CatalogItem, only=("version", "sku", "section"))
        self._statistics = FastDecoder(ProductStatistics, only=("version", "sku", "weeks"))

    @property
    def is_loaded(self) -> bool:
        """Whether everything that was in the topics at the start is in. Raises what stopped the reader."""
        if self.failure is not None:
            raise self.failure
        return self._loaded.is_set()

    async def caught_up(self) -> None:
        """Wait until what is published by now is in, or for `CATCH_UP_S` at most."""
        wanted = self._rounds + 2  # the round under way may have looked before the message was there
        latest = time.monotonic() + CATCH_UP_S
        while self._rounds < wanted and time.monotonic() < latest:
            await asyncio.sleep(IDLE_S)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading and wait for the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        tables: list[GlobalTable] = []
        try:
            for topic, take in (
                (CATALOG, self._take_items),
                (PRODUCTS, self._take_statistics),
                (PROMOTIONS, self._take_promotions),
            ):
                table = GlobalTable(self._settings, topic, take, PROCESS_PATIENCE_S)
                tables.append(table)
                table.load()
            self._environment.release()
            self._loaded.set()
            while not self._stop.is_set():
                if sum(table.poll() for table in tables) == 0:
                    self._rounds += 1
                    self._settle()
                    self._stop.wait(IDLE_S)
        except Exception as error:
            _log.exception("the environment cannot be read any more")
            self.failure = error
        finally:
            for table in tables:
                table.close()

    def _settle(self) -> None:
        if not self._is_settled and time.monotonic() - self._changed_at > SETTLED_S:
            self._environment.release()
            self._is_settled = True

    def _take_promotions(self, messages: list[Message]) -> None:
        for message in messages:
            promotion = self._decoded(self._promotion, message)
            if promotion is not None:
                try:
                    self._environment.put_promotion(promotion)
                except BadMessage as error:
                    self._leave_out(message, error)
        self._rounds = 0
        self._changed_at = time.monotonic()
        self._is_settled = False

    def _take_items(self, messages: list[Message]) -> None:
        for message in messages:
            item = self._decoded(self._item, message)
            if item is not None:
                self._environment.put_item(item)
            elif message.value() is None:
                self._environment.remove_item((message.key() or b"").decode(errors="replace"))

    def _take_statistics(self, messages: list[Message]) -> None:
        for message in messages:
            statistics = self._decoded(self._statistics, message)
            if statistics is not None:
                self._environment.put_statistics(statistics)

    def _decoded(self, decode: FastDecoder[M], message: Message) -> M | None:
        value = message.value()
        try:
            return None if value is None else decode(value)
        except BadMessage as error:
            self._leave_out(message, error)
            return None

    def _leave_out(self, message: Message, error: Exception) -> None:
        _log.debug("%s/%s/%s left out: %s", message.topic(), message.partition(), message.offset(), error)
