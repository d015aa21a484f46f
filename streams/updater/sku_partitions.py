"""Which partition each product's statistics live in, for whole columns of sku keys."""

from collections.abc import Mapping

import numpy as np

from streams.kafka import partition_for
from twin_store.key_index import ABSENT, KeyIndex, find_all


class SkuPartitions:
    """Remembers the partition of every sku key seen, as the partitioner gives it for the sku's text."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._index = KeyIndex()
        self._parts = np.zeros(0, dtype=np.int64)

    def of(self, keys: np.ndarray, symbols: Mapping[int, str]) -> np.ndarray:
        """The partition of each key: int64 [n]. `symbols` has the text of every key."""
        rows = find_all(self._index.keys, self._index.rows, keys)
        unseen = rows == ABSENT
        if unseen.any():
            fresh = np.unique(keys[unseen])
            self._index.add(fresh)
            parts = [partition_for(symbols[key].encode(), self._partitions) for key in fresh.tolist()]
            self._parts = np.concatenate((self._parts, np.array(parts, dtype=np.int64)))
            rows = find_all(self._index.keys, self._index.rows, keys)
        return self._parts[rows]
