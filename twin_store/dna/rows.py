"""Sorted integer tables, compiled: order them, add them up, find in them.

A table is a C-contiguous int64 array [rows, columns] sorted by its first two columns.
"""

import numpy as np
from numba import njit

from twin_store.messages.codec import SECONDS_PER_DAY

LEAST = int(np.iinfo(np.int64).min)
FIRST = np.zeros(1, dtype=np.int64)  # the order of a single row


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

    `base` is sorted with unique keys and has no row of zeros; `delta` may come in any order, repeats included. Rows
    that add up to nothing leave, and so do rows whose column 1 is at or before `cutoff_day`.
    """
    base = _kept(base, 1, 1, cutoff_day)
    columns = base.shape[1]
    out = np.empty((base.shape[0] + delta.shape[0], columns), dtype=np.int64)
    order = order_by_two(delta)
    used = 0
    i = 0
    j = 0
    while j < delta.shape[0]:
        row = delta[order[j]]
        # What lies between two rows of the delta is copied as a block: it is nearly all there is.
        end = _place(base, i, row[0], row[1])
        out[used : used + end - i] = base[i:end]
        used += end - i
        i = end
        if i < base.shape[0] and base[i, 0] == row[0] and base[i, 1] == row[1]:
            out[used] = base[i]
            i += 1
        else:
            out[used] = row
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
    rest = base.shape[0] - i
    out[used : used + rest] = base[i:]
    return out[: used + rest]


@njit(cache=True, nogil=True)
def sum_up(rows: np.ndarray) -> np.ndarray:
    """What `add_up` gives of nothing plus these rows, which are sorted by column 0.

    For many rows of many keys: only rows that share column 0 are sorted among themselves.
    """
    out = np.empty(rows.shape, dtype=np.int64)
    used = 0
    start = 0
    while start < rows.shape[0]:
        end = group_end(rows, start)
        order = np.argsort(rows[start:end, 1], kind="mergesort") if end - start > 1 else FIRST
        k = 0
        while k < order.shape[0]:
            out[used] = rows[start + order[k]]
            k += 1
            while k < order.shape[0] and rows[start + order[k], 1] == out[used, 1]:
                for c in range(2, rows.shape[1]):
                    out[used, c] += rows[start + order[k], c]
                k += 1
            used += _any_nonzero(out[used], 2)
        start = end
    return out[:used]


@njit(cache=True, nogil=True)
def _kept(table: np.ndarray, column: int, per_day: int, cutoff_day: int) -> np.ndarray:
    """The rows whose time, `per_day` units a day, is of a day after the cutoff: the table itself if all are."""
    # Compared in units, for dividing each time takes longer than all else here.
    since = LEAST if cutoff_day < LEAST // per_day else (cutoff_day + 1) * per_day
    kept = 0
    for i in range(table.shape[0]):
        kept += table[i, column] >= since
    if kept == table.shape[0]:
        return table
    out = np.empty((kept, table.shape[1]), dtype=np.int64)
    used = 0
    for i in range(table.shape[0]):
        if table[i, column] >= since:
            out[used] = table[i]
            used += 1
    return out


@njit(cache=True, nogil=True)
def _place(table: np.ndarray, start: int, first: int, second: int) -> int:
    """The first row from `start` on whose columns 0 and 1 are not below these two."""
    low = start
    high = table.shape[0]
    while low < high:
        middle = (low + high) // 2
        if table[middle, 0] < first or (table[middle, 0] == first and table[middle, 1] < second):
            low = middle + 1
        else:
            high = middle
    return low


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
    base = _kept(base, second_column, SECONDS_PER_DAY, cutoff_day)
    fresh = _kept(fresh, second_column, SECONDS_PER_DAY, cutoff_day)
    fresh = fresh[order_by_two(fresh)]
    out = np.empty((base.shape[0] + fresh.shape[0], base.shape[1]), dtype=np.int64)
    used = 0
    i = 0
    j = 0
    while j < fresh.shape[0]:
        end = _place(base, i, fresh[j, 0], LEAST)
        out[used : used + end - i] = base[i:end]
        used += end - i
        i = end
        i_end = i
        if i < base.shape[0] and base[i, 0] == fresh[j, 0]:
            i_end = group_end(base, i)
        j_end = group_end(fresh, j)
        group = fresh[j:j_end]
        if i < i_end and _is_lesser(base[i:i_end], group):
            group = base[i:i_end]
        out[used : used + group.shape[0]] = group
        used += group.shape[0]
        i = i_end
        j = j_end
    rest = base.shape[0] - i
    out[used : used + rest] = base[i:]
    return out[: used + rest]


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
