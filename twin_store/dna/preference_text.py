"""The repeated parts of a profile as JSON, compiled: its sections, types and brands, and its regular items."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from twin_store.dna.preferences import GROUPS_MAX, LEVELS
from twin_store.dna.reading import REGULARS_MAX
from twin_store.json_text import (
    DAY_BYTES,
    NUMBER_BYTES,
    fragment,
    put,
    put_day,
    put_int,
    put_rounded,
    quoted,
    string_end,
)

_OPEN, _CLOSE, _NEXT, _END = (fragment(text) for text in ("[", "]", ",", "}"))
_CATEGORY, _SHARE, _LINES = (fragment(text) for text in ('{"category":', ',"share":', ',"lines":'))
_TIER, _INDEX = fragment(',"price_tier":'), fragment(',"price_index":')
_SKU, _DAYS, _INTERVAL = (fragment(t) for t in ('{"sku":', ',"purchase_days":', ',"interval_days":'))
_LAST, _DUE = fragment(',"last_bought":'), fragment(',"due":')
_GROUP_BYTES = len(b'{"category":,"share":,"lines":,"price_tier":,"price_index":},') + 4 * NUMBER_BYTES
_REGULAR_BYTES = (
    len(b'{"sku":,"purchase_days":,"interval_days":,"last_bought":,"due":},') + 3 * NUMBER_BYTES + DAY_BYTES
)
_BRACKETS = 2
REGULARS_ROOM = _BRACKETS + REGULARS_MAX * _REGULAR_BYTES
"""Bytes that regular items take at most, without their skus."""


class GroupNames(NamedTuple):
    """What sections, types and brands are called, as JSON.

    Attributes:
        texts: uint8, one name behind the other.
        starts: int64 [n + 1], where each starts.
        first: int64 [LEVELS], the place of code 0 of each level.
        room: bytes that the groups of a profile need at most.
    """

    texts: np.ndarray
    starts: np.ndarray
    first: np.ndarray
    room: int

    @classmethod
    def of(cls, names: Sequence[list[str]]) -> "GroupNames":
        """Those of the levels, by code."""
        texts, starts = quoted([name for level in names for name in level])
        first = np.cumsum([0, *(len(level) for level in names[:-1])])
        longest = int(np.diff(starts).max(initial=0))
        return cls(texts, starts, first, LEVELS * (_BRACKETS + GROUPS_MAX * (longest + _GROUP_BYTES)))


@njit(cache=True, nogil=True)
def write_groups(
    out: np.ndarray, at: int, all_lines: int, count: int, codes: np.ndarray, lines: np.ndarray, ratios: np.ndarray,
    names: np.ndarray, starts: np.ndarray,
) -> int:  # fmt: skip
    """The groups of a level as a JSON array of `CategoryPreference`, and the place behind it.

    Args:
        all_lines: of the window.
        count, codes, lines, ratios: as `read_preferences` gives them.
        names, starts: of `GroupNames`, from the level's first on.
    """
    at = put(out, at, _OPEN)
    for k in range(count):
        at = put(out, at, _NEXT) if k > 0 else at
        at = put(out, put(out, at, _CATEGORY), names[starts[codes[k]] : starts[codes[k] + 1]])
        at = put_rounded(out, put(out, at, _SHARE), lines[k] / all_lines if all_lines > 0 else 0.0, 4)
        at = put_int(out, put(out, at, _LINES), lines[k])
        at = put_rounded(out, put(out, at, _TIER), ratios[0, k], 3)
        at = put_rounded(out, put(out, at, _INDEX), ratios[1, k], 3)
        at = put(out, at, _END)
    return put(out, at, _CLOSE)


@njit(cache=True, nogil=True)
def write_regulars(out: np.ndarray, at: int, items: np.ndarray, as_of_day: int, skus: np.ndarray) -> int:
    """Regular items as a JSON array of `RegularItem`, and the place behind it.

    Args:
        items: as `reading.regular_items` gives them.
        skus: a JSON array of their skus.
    """
    at = put(out, at, _OPEN)
    text = 1  # behind the bracket that opens the array
    for k in range(items.shape[0]):
        days, first, last = items[k, 1], items[k, 2], items[k, 3]
        interval = (last - first) / (days - 1)
        at = put(out, at, _NEXT) if k > 0 else at
        text_end = string_end(skus, text)
        at = put(out, put(out, at, _SKU), skus[text:text_end])
        text = text_end + 1
        at = put_int(out, put(out, at, _DAYS), days)
        at = put_rounded(out, put(out, at, _INTERVAL), interval, 2)
        at = put_day(out, put(out, at, _LAST), last)
        at = put_rounded(out, put(out, at, _DUE), (as_of_day - last) / interval, 3)
        at = put(out, at, _END)
    return put(out, at, _CLOSE)
