"""The products most like a product, as the index has them, kept for a while: customers share their regular items."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

from streams.agents.retrieved import Neighbours
from twin_store.messages import RetrievedProduct
from twin_store.products import ProductIndexError, ProductRetrieval

NEIGHBOURS_MAX = 8
MEMO_MAX = 20_000
MEMO_S = 600.0
_log = logging.getLogger(__name__)


class NeighbourMemo:
    """Asks the index in a thread of its own, so that the event loop never waits for a search.

    An index that is empty, or cannot answer, gives no neighbours: questions are then asked without exploring.
    """

    def __init__(self, retrieval: ProductRetrieval) -> None:
        self._retrieval = retrieval
        self._pool = ThreadPoolExecutor(1, "neighbours")
        self._memo: dict[str, tuple[float, list[RetrievedProduct]]] = {}

    async def of(self, skus: Iterable[str]) -> Neighbours:
        """The neighbours of each of these products, nearest first."""
        now = time.monotonic()
        wanted = set(skus)
        missing = [sku for sku in wanted if self._memo.get(sku, (0.0, None))[0] <= now]
        if missing:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._pool, self._search, missing)
            if len(self._memo) + len(found) > MEMO_MAX:
                self._memo.clear()
            self._memo.update({sku: (now + MEMO_S, products) for sku, products in found.items()})
        return {sku: self._memo[sku][1] for sku in wanted if sku in self._memo}

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(cancel_futures=True)

    def _search(self, skus: Collection[str]) -> dict[str, list[RetrievedProduct]]:
        found = {}
        try:
            for sku in skus:
                products = self._retrieval.similar_to(sku, NEIGHBOURS_MAX)
                if products:  # a product that is not in the index yet is looked for again
                    found[sku] = products
        except ProductIndexError as error:
            _log.warning("no neighbours for now: %s", error)
        return found
