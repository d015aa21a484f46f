"""What the planner asks of the index: products like one, like a basket, or like a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twin_store.messages import RetrievedProduct
from twin_store.products.base import ANYTHING, ProductFilter, ProductIndex, ProductIndexError, Vector
from twin_store.products.embedding import Embedder, embed_text


class ProductRetrieval:
    """Retrieval over an index. With an embedder it also takes texts; without one it needs no torch."""

    def __init__(self, index: ProductIndex, embedder: Embedder | None = None) -> None:
        self.index = index
        self._embedder = embedder

    def similar_to(self, sku: str, k: int, where: ProductFilter = ANYTHING) -> list[RetrievedProduct]:
        """The k products most like this one, itself left out; empty if the index does not know it."""
        return self.similar_to_many([sku], k, where)

    def similar_to_many(
        self, skus: Sequence[str], k: int, where: ProductFilter = ANYTHING
    ) -> list[RetrievedProduct]:
        """The k products nearest to the middle of these, none of these among them.

        Skus that the index does not know are passed over; empty if it knows none.
        """
        known = self.index.vectors(list(dict.fromkeys(skus)))
        if not known:
            return []
        # Summed in the order of the skus' names: the same basket gives the same answer however it is listed.
        middle: Vector = np.sum([known[sku] for sku in sorted(known)], axis=0, dtype=np.float32)
        length = np.linalg.norm(middle)
        if length == 0:
            return []
        return self.index.search(middle / length, k, where.without(skus))

    def search_text(self, text: str, k: int, where: ProductFilter = ANYTHING) -> list[RetrievedProduct]:
        """The k products whose texts are nearest to `text`. Raises `ProductIndexError` without an embedder."""
        if self._embedder is None:
            raise ProductIndexError("text search needs an embedder, and this process has none")
        return self.index.search(embed_text(self._embedder, text.lower()), k, where)
