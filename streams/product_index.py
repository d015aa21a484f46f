"""The product index of this deployment: which implementation, where, and kept up to date by whom.

Without `TWINS_QDRANT_URL` every process that retrieves has an embedded index of its own, filled from the vectors
and statistics topics. With it the indexer fills the server, and the others only ask.
"""

from __future__ import annotations

import logging
import re
import threading
import time

from streams.errors import TwinsError
from streams.index_feed import IndexFeed
from streams.settings import Settings
from twin_store.products import ProductIndex, ProductIndexError, ProductRetrieval
from twin_store.products.embedding import Embedder

CATCH_UP_TIMEOUT_S = 120.0
RETRY_S = 1.0
_log = logging.getLogger(__name__)


def embedded_index(settings: Settings, owner: str) -> ProductIndex:
    """The embedded index of process `owner`. Raises `TwinsError` if another process has it open."""
    from twin_store.products.edge import EdgeIndex

    try:
        return EdgeIndex(settings.data_dir / "products" / owner, settings.embedding_model)
    except ProductIndexError as error:
        raise TwinsError(str(error)) from error


def server_index(settings: Settings, dimension: int | None = None) -> ProductIndex:
    """The index on the server that `TWINS_QDRANT_URL` names; the writer gives the vectors' `dimension`.

    Raises `TwinsError` if the server does not answer or does not fit.
    """
    from twin_store.products.server import ServerIndex

    url, key = settings.qdrant_url or "", settings.qdrant_api_key
    try:
        return ServerIndex.connect(
            url, key.get_secret_value() if key else None, collection(settings), dimension
        )
    except ProductIndexError as error:
        raise TwinsError(str(error)) from error


def collection(settings: Settings) -> str:
    """The deployment's collection; models do not share one, since their vectors cannot be compared."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{settings.topic_prefix}products-{settings.embedding_model}")


class IndexFollower:
    """Keeps an index up to date with the vectors and statistics topics, in a thread of its own.

    Attributes:
        ready: set once everything has been applied that the topics held at the start.
    """

    def __init__(self, settings: Settings, index: ProductIndex, name: str) -> None:
        self.ready = threading.Event()
        self.feed = IndexFeed(settings, index, name)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="product-index")

    def catch_up(self, timeout_s: float = CATCH_UP_TIMEOUT_S) -> None:
        """Read to the end of the topics now, in the caller's thread. Raises `TwinsError` if it takes too long."""
        deadline = time.monotonic() + timeout_s
        while not self.feed.caught_up:
            if time.monotonic() > deadline:
                raise TwinsError(
                    f"the product index has not caught up with its topics in {timeout_s:.0f} s; "
                    "is Kafka up? (`twins broker status`)"
                )
            self.feed.poll(self._stop)
        self.ready.set()

    def start(self) -> None:
        """Follow until `close`."""
        self._thread.start()

    def close(self) -> None:
        """Stop following and record how far it came."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.feed.close()

    def _follow(self) -> None:
        """Poll until told to stop, surviving whatever goes wrong: the process can do without fresh products."""
        while not self._stop.is_set():
            try:
                self.feed.poll(self._stop)
            except Exception:
                _log.exception("following the product topics failed; trying again")
                self._stop.wait(RETRY_S)
            if self.feed.caught_up:
                self.ready.set()


class IndexReader:
    """The index as a process that retrieves sees it. Needs no torch, unless it is given an embedder.

    reader = IndexReader(settings, "planner")
    reader.start()
    reader.retrieval.similar_to(sku, k=10, where=ProductFilter(stocked_at=store))
    reader.close()

    Attributes:
        retrieval: answers from what has arrived so far; raises `ProductIndexError` when a server fails.
    """

    def __init__(self, settings: Settings, owner: str, embedder: Embedder | None = None) -> None:
        """Open the index. `owner` names its folder: one for each process that may run at a time.

        Raises `TwinsError` if the index, its server or Kafka is not to be had.
        """
        self._follower: IndexFollower | None = None
        if settings.qdrant_url:
            self.index = server_index(settings)
        else:
            self.index = embedded_index(settings, owner)
            try:
                self._follower = IndexFollower(settings, self.index, owner)
            except TwinsError:
                self.index.close()
                raise
        self.retrieval = ProductRetrieval(self.index, embedder)

    def catch_up(self) -> None:
        """Read to the end of the topics now. Raises `TwinsError` if it takes too long."""
        if self._follower is not None:
            self._follower.catch_up()

    def start(self) -> None:
        """Follow the topics in the background until `close`."""
        if self._follower is not None:
            self._follower.start()

    def close(self) -> None:
        """Stop following and close the index."""
        if self._follower is not None:
            self._follower.close()
        self.index.close()
