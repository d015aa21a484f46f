"""Which strings of a batch are the same, compiled: the bytes decide, hashes only find them."""

from typing import Any

import numpy as np
from numba import njit

from twin_store.hashing import key_between
from twin_store.pointers import pointer_to

CAPACITY_MIN = 16
RECENT = 1 << 16


@njit(cache=True, nogil=True)
def same_bytes(text: Any, start: int, end: int, other: Any, other_start: int, other_end: int) -> bool:
    """Whether two pieces of two buffers are equal; the buffers are pointers."""
    if end - start != other_end - other_start:
        return False
    for i in range(end - start):
        if text[start + i] != other[other_start + i]:
            return False
    return True


@njit(cache=True, nogil=True)
def number_strings(text: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number strings from 0 in order of appearance.

    Args:
        text: uint8, what the strings stand in.
        places: [n, 2 or more] start and end of each.

    Returns:
        The number of each [n], and where each distinct one stands [k, 2].
    """
    capacity = CAPACITY_MIN
    while capacity < 2 * places.shape[0]:
        capacity *= 2
    buffer = pointer_to(text, 0)
    slots = np.full(capacity, -1, dtype=np.int64)
    numbers = np.empty(places.shape[0], dtype=np.int64)
    known = np.empty((places.shape[0], 2), dtype=np.int64)
    used = 0
    for i in range(places.shape[0]):
        start, end = places[i, 0], places[i, 1]
        slot = key_between(buffer, start, end) & (capacity - 1)
        while slots[slot] >= 0:
            other = slots[slot]
            if same_bytes(buffer, start, end, buffer, known[other, 0], known[other, 1]):
                break
            slot = (slot + 1) & (capacity - 1)
        if slots[slot] < 0:
            known[used, 0], known[used, 1] = start, end
            slots[slot] = used
            used += 1
        numbers[i] = slots[slot]
    return numbers, known[:used]


@njit(cache=True, nogil=True)
def some_of_each(keys: np.ndarray) -> np.ndarray:
    """Indices that hold each distinct key at least once, and most of them once only: int64 [k]."""
    recent = np.zeros(RECENT, dtype=np.int64)
    out = np.empty(keys.shape[0], dtype=np.int64)
    used = 0
    for i in range(keys.shape[0]):
        slot = keys[i] & (RECENT - 1)
        if recent[slot] != keys[i] or keys[i] == 0:
            recent[slot] = keys[i]
            out[used] = i
            used += 1
    return out[:used]
