"""64-bit keys to row numbers, as flat arrays that compiled code can search.

Open addressing with linear probing. Keys come from `twin_store.symbols` and are uniform already, so their low
bits are the hash. Rows are numbered in order of arrival and never taken back.
"""

import numpy as np
from numba import njit

ABSENT = -1
CAPACITY_MIN = 16


@njit(cache=True, nogil=True)
def find(keys: np.ndarray, rows: np.ndarray, key: int) -> int:
    """The row of a key, or ABSENT. `keys` and `rows` are the arrays of a `KeyIndex`."""
    mask = keys.shape[0] - 1
    at = key & mask
    while rows[at] != ABSENT:
        if keys[at] == key:
            return rows[at]
        at = (at + 1) & mask
    return ABSENT


@njit(cache=True, nogil=True)
def find_all(keys: np.ndarray, rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The row of each wanted key, ABSENT where there is none: int64 [n]."""
    found = np.empty(wanted.shape[0], dtype=np.int64)
    for i in range(wanted.shape[0]):
        found[i] = find(keys, rows, wanted[i])
    return found


@njit(cache=True, nogil=True)
def find_ordered(ordered: np.ndarray, key: int) -> int:
    """Where a key stands among ascending ones, or ABSENT."""
    at = np.searchsorted(ordered, key)
    return int(at) if at < ordered.shape[0] and ordered[at] == key else ABSENT


@njit(cache=True, nogil=True)
def _insert_all(keys: np.ndarray, rows: np.ndarray, fresh: np.ndarray, used: int) -> np.ndarray:
    """Rows of `fresh`, new ones numbered from `used` on; the arrays must have room."""
    given = np.empty(fresh.shape[0], dtype=np.int64)
    mask = keys.shape[0] - 1
    for i in range(fresh.shape[0]):
        at = fresh[i] & mask
        while rows[at] != ABSENT and keys[at] != fresh[i]:
            at = (at + 1) & mask
        if rows[at] == ABSENT:
            keys[at] = fresh[i]
            rows[at] = used
            used += 1
        given[i] = rows[at]
    return given


class KeyIndex:
    """A growing map of keys to rows. `keys` and `rows` are for `find`: take them anew after each `add`."""

    def __init__(self) -> None:
        self.keys = np.zeros(CAPACITY_MIN, dtype=np.int64)
        self.rows = np.full(CAPACITY_MIN, ABSENT, dtype=np.int64)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def row(self, key: int) -> int:
        """The row of one key, or ABSENT."""
        return int(find(self.keys, self.rows, key))

    def add(self, fresh: np.ndarray) -> np.ndarray:
        """The rows of these keys (int64 [n], repeats allowed), numbering the ones not seen before."""
        self._grow_for(self._used + len(fresh))
        given = _insert_all(self.keys, self.rows, np.ascontiguousarray(fresh, dtype=np.int64), self._used)
        if len(given):
            self._used = max(self._used, int(given.max()) + 1)
        return given

    def in_order(self) -> np.ndarray:
        """All keys by row: int64 [n]."""
        held = self.rows != ABSENT
        keys = np.empty(self._used, dtype=np.int64)
        keys[self.rows[held]] = self.keys[held]
        return keys

    def _grow_for(self, count: int) -> None:
        capacity = len(self.keys)
        while capacity < 2 * count:
            capacity *= 2
        if capacity == len(self.keys):
            return
        in_order = self.in_order()
        self.keys = np.zeros(capacity, dtype=np.int64)
        self.rows = np.full(capacity, ABSENT, dtype=np.int64)
        _insert_all(self.keys, self.rows, in_order, 0)
