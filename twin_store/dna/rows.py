"""Sorted integer tables, compiled: order them, add them up, find in them.

A table is a C-contiguous int64 array [rows, columns] sorted by its first two columns.
"""

import numpy as np
from numba import njit

from twin_store.messages.codec import SECONDS_PER_DAY


def empty(columns: int) -> np.ndarray:
    """A table with no rows."""
    return np.zeros((0, columns), dtype=np.int64)


@njit(cache=True, nogil=True)
def order_by_two(rows: np.ndarray) -> np.ndarray:
    """The order that sorts rows by columns 0 and 1, stable."""
    by_second = np.argsort(rows[:, 1], kind="mergesort")
    by_first = np.argsort(rows[by_second, 0], kind="mergesort")
    return by_second[by_first]


@njit(cache=True, nogil=True)
def add_up(base: np.ndarray, delta: np.ndarray, cutoff_day: int) -> np.ndarray:
    """Base plus delta: rows with equal (column 0, column 1) add their other columns.

    `base` is sorted with unique keys; `delta` may come in any order, repeats included. Rows that add up to
    nothing leave, and so do rows whose column 1 is at or before `cutoff_day`.
    """
    columns = base.shape[1]
    out = np.empty((base.shape[0] + delta.shape[0], columns), dtype=np.int64)
    order = order_by_two(delta)
    used = 0
    i = 0
    j = 0
    while i < base.shape[0] or j < delta.shape[0]:
        if j >= delta.shape[0]:
            take_base = True
        elif i >= base.shape[0]:
            take_base = False
        else:
            row = delta[order[j]]
            take_base = base[i, 0] < row[0] or (base[i, 0] == row[0] and base[i, 1] <= row[1])
        if take_base:
            for c in range(columns):
                out[used, c] = base[i, c]
            i += 1
        else:
            for c in range(columns):
                out[used, c] = delta[order[j], c]
            j += 1
        while j < delta.shape[0]:
            row = delta[order[j]]
            if row[0] != out[used, 0] or row[1] != out[used, 1]:
                break
            for c in range(2, columns):
                out[used, c] += row[c]
            j += 1
        if out[used, 1] > cutoff_day and _any_nonzero(out[used], 2):
            used += 1
    return out[:used].copy()


@njit(cache=True, nogil=True)
def _any_nonzero(row: np.ndarray, start: int) -> bool:
    for c in range(start, row.shape[0]):
        if row[c] != 0:
            return True
    return False


@njit(cache=True, nogil=True)
def contains(table: np.ndarray, key: int) -> bool:
    """Whether a table sorted by column 0 has the key there."""
    low = 0
    high = table.shape[0]
    while low < high:
        middle = (low + high) // 2
        if table[middle, 0] < key:
            low = middle + 1
        else:
            high = middle
    return low < table.shape[0] and table[low, 0] == key


@njit(cache=True, nogil=True)
def union(base: np.ndarray, fresh: np.ndarray, second_column: int, cutoff_day: int) -> np.ndarray:
    """All rows of both, sorted by columns 0 and 1, without those at or before `cutoff_day`.

    Rows with one column 0 are a group. Of a group that stands in both, the one with the lesser rows is kept, so
    that it does not matter which table is which.
    """
    fresh = fresh[order_by_two(fresh)]
    out = np.empty((base.shape[0] + fresh.shape[0], base.shape[1]), dtype=np.int64)
    used = 0
    i = 0
    j = 0
    while i < base.shape[0] or j < fresh.shape[0]:
        i_end = group_end(base, i)
        j_end = group_end(fresh, j)
        if j == j_end or (i < i_end and base[i, 0] < fresh[j, 0]):
            group = base[i:i_end]
            i = i_end
        elif i == i_end or fresh[j, 0] < base[i, 0]:
            group = fresh[j:j_end]
            j = j_end
        else:
            group = base[i:i_end] if _is_lesser(base[i:i_end], fresh[j:j_end]) else fresh[j:j_end]
            i = i_end
            j = j_end
        for k in range(group.shape[0]):
            if group[k, second_column] // SECONDS_PER_DAY > cutoff_day:
                for c in range(group.shape[1]):
                    out[used, c] = group[k, c]
                used += 1
    return out[:used].copy()


@njit(cache=True, nogil=True)
def group_end(table: np.ndarray, start: int) -> int:
    """Where the rows end that have the column 0 of row `start`; `start` at the end of the table."""
    end = start
    while end < table.shape[0] and table[end, 0] == table[start, 0]:
        end += 1
    return end


@njit(cache=True, nogil=True)
def _is_lesser(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether `one` comes before `other`, compared value by value."""
    for k in range(min(one.shape[0], other.shape[0])):
        for c in range(one.shape[1]):
            if one[k, c] != other[k, c]:
                return bool(one[k, c] < other[k, c])
    return one.shape[0] <= other.shape[0]
