"""What a customer prefers, read from her cells against what is known of the products, compiled.

Her sections, item types and brands; how dear she buys; how far she goes by deals. The twin holds no word of any
of this: catalogue and statistics are those of the reader's moment.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from twin_store.dna.layout import (
    C_DAY,
    C_DEAL_LINES,
    C_LINES,
    C_NET,
    C_PRICED_LINES,
    C_SKU,
    C_UNITS,
)
from twin_store.dna.reading import window_start
from twin_store.dna.rows import group_end
from twin_store.key_index import ABSENT, KeyIndex

GROUPS_MAX = 10
SECTION, TYPE, BRAND = range(3)
LEVELS = 3
TIER, PRICE, DEAL_SHARE = range(3)
USUALS = 3
# What adds up over products: lines; tier x lines, and lines that have one; net paid, and what it would be at usual
# prices; lines on a deal, and how many they would be at usual shares. Each pair is over what is known alone.
S_LINES, S_TIER, S_TIER_LINES, S_NET, S_USUAL_NET, S_DEALS, S_USUAL_DEALS = range(7)
SUMS = 7


# A product takes one cache line: its key, whether the slot is taken, its groups, its usuals. Reading a twin is a walk
# through a table far larger than the caches, so what it takes is how many lines each product touches.
F_KEY, F_TAKEN, F_GROUP, F_USUAL = 0, 1, 2, 2 + LEVELS
FACTS = 8
LINE_BYTES = 64


class Products(NamedTuple):
    """What is known of the products, laid out to be looked up; `products_table` makes it.

    Attributes:
        slots, facts: one memory as int64 and as float64 [capacity, FACTS], a power of two with linear probing. A slot
            has the sku key and whether it is taken (int64); 0-based codes of section, item type and brand, -1 where
            unknown; price percentile in its section, 0 to 1; shelf price of a unit in minor units; share of its lines
            on a deal, NaN where unknown (float64).
        counts: int64 [LEVELS], how many codes there are.
    """

    slots: np.ndarray
    facts: np.ndarray
    counts: np.ndarray


def products_table(index: KeyIndex, groups: np.ndarray, usual: np.ndarray, counts: np.ndarray) -> Products:
    """A copy of what is known, by row of the index: codes int64 [n, LEVELS], usuals float64 [n, USUALS]."""
    slots = _aligned(len(index.keys))
    facts = slots.view(np.float64)
    taken = index.rows != ABSENT
    rows = index.rows[taken]
    slots[taken, F_KEY] = index.keys[taken]
    slots[taken, F_TAKEN] = 1
    facts[taken, F_GROUP : F_GROUP + LEVELS] = groups[rows]
    facts[taken, F_USUAL : F_USUAL + USUALS] = usual[rows]
    return Products(slots, facts, counts)


def _aligned(capacity: int) -> np.ndarray:
    """Zeros [capacity, FACTS] whose rows are whole cache lines."""
    room = np.zeros(capacity * LINE_BYTES + LINE_BYTES, dtype=np.uint8)
    start = -room.ctypes.data % LINE_BYTES
    return room[start : start + capacity * LINE_BYTES].view(np.int64).reshape(capacity, FACTS)


@njit(cache=True, nogil=True)
def product_row(slots: np.ndarray, key: int) -> int:
    """The slot of a sku key, or ABSENT."""
    mask = slots.shape[0] - 1
    at = key & mask
    while slots[at, F_TAKEN]:
        if slots[at, F_KEY] == key:
            return at
        at = (at + 1) & mask
    return ABSENT


class Groups(NamedTuple):
    """The sections, types or brands with the most lines in the window, most first, at most GROUPS_MAX.

    Attributes:
        codes, lines: int64 [k].
        tiers, indexes: float64 [k], as `Preferences.price_tier` and `price_index`, over the group's lines.
    """

    codes: np.ndarray
    lines: np.ndarray
    tiers: np.ndarray
    indexes: np.ndarray


class Preferences(NamedTuple):
    """What the window's purchases say. A number is NaN where nothing is known of any product she bought.

    Attributes:
        price_tier: mean price percentile of a line.
        price_index: net paid over usual price x units.
        deal_lift: lines bought on a deal over those that the products' usual shares would make.
    """

    price_tier: float
    price_index: float
    deal_lift: float
    sections: Groups
    types: Groups
    brands: Groups


def preferences(cells: np.ndarray, as_of_day: int, products: Products) -> Preferences:
    """What the purchases of the window that ends with `as_of_day` say."""
    # Compiled code hands over plain arrays: making named tuples there costs more than all it computes.
    numbers, counts, codes, lines, ratios = read_preferences(
        cells, as_of_day, products.slots, products.facts, products.counts
    )
    sections, types, brands = (
        Groups(codes[level, :k], lines[level, :k], ratios[level, 0, :k], ratios[level, 1, :k])
        for level, k in enumerate(counts.tolist())
    )
    tier, index, lift = numbers.tolist()
    return Preferences(tier, index, lift, sections, types, brands)


@njit(cache=True, nogil=True)
def read_preferences(
    cells: np.ndarray, as_of_day: int, slots: np.ndarray, facts: np.ndarray, codes_known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Tier, index and lift; and of each level how many top groups there are, their codes, lines, tiers and indexes."""
    codes, sums = _bought(cells, as_of_day, slots, facts)
    total = np.zeros(SUMS)
    for i in range(sums.shape[0]):
        for column in range(SUMS):
            total[column] += sums[i, column]
    numbers = np.empty(3)
    numbers[0] = _ratio(total[S_TIER], total[S_TIER_LINES])
    numbers[1] = _ratio(total[S_NET], total[S_USUAL_NET])
    numbers[2] = _ratio(total[S_DEALS], total[S_USUAL_DEALS])
    counts = np.zeros(LEVELS, dtype=np.int64)
    top = np.zeros((LEVELS, GROUPS_MAX), dtype=np.int64)
    lines = np.zeros((LEVELS, GROUPS_MAX), dtype=np.int64)
    ratios = np.zeros((LEVELS, 2, GROUPS_MAX))
    for level in range(LEVELS):
        counts[level] = _top_groups(
            codes[level], sums, codes_known[level], top[level], lines[level], ratios[level]
        )
    return numbers, counts, top, lines, ratios


@njit(cache=True, nogil=True)
def _bought(
    cells: np.ndarray, as_of_day: int, slots: np.ndarray, facts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The products of the window that are known: their codes, int64 [LEVELS, k], and sums, float64 [k, SUMS]."""
    since = window_start(as_of_day)
    starts, rows = _known(cells, slots)
    codes = np.empty((LEVELS, rows.shape[0]), dtype=np.int64)
    sums = np.zeros((rows.shape[0], SUMS))
    used = 0
    for product in range(rows.shape[0]):
        lines = net = units = deals = 0
        for i in range(starts[product], group_end(cells, starts[product])):
            if cells[i, C_DAY] <= since or cells[i, C_LINES] <= 0:
                continue
            lines += cells[i, C_LINES]
            deals += cells[i, C_DEAL_LINES]
            # A line without a price has units and no net: a day with one is not held against the usual price.
            if cells[i, C_PRICED_LINES] == cells[i, C_LINES] and cells[i, C_UNITS] > 0:
                net += cells[i, C_NET]
                units += cells[i, C_UNITS]
        if lines <= 0:
            continue
        row = rows[product]
        for level in range(LEVELS):
            codes[level, used] = int(facts[row, F_GROUP + level])
        tier, price = facts[row, F_USUAL + TIER], facts[row, F_USUAL + PRICE]
        deal_share = facts[row, F_USUAL + DEAL_SHARE]
        sums[used, S_LINES] = lines
        if not np.isnan(tier):
            sums[used, S_TIER] = tier * lines
            sums[used, S_TIER_LINES] = lines
        if not np.isnan(price):
            sums[used, S_NET] = net
            sums[used, S_USUAL_NET] = price * units / 1000
        if not np.isnan(deal_share):
            sums[used, S_DEALS] = deals
            sums[used, S_USUAL_DEALS] = deal_share * lines
        used += 1
    return codes[:, :used], sums[:used]


@njit(cache=True, nogil=True)
def _known(cells: np.ndarray, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the cells of each known product start, and its slot: int64 [k] each.

    Nothing else is done here, so that the processor fetches the slots of several products at a time.
    """
    starts = np.empty(cells.shape[0], dtype=np.int64)
    rows = np.empty(cells.shape[0], dtype=np.int64)
    used = 0
    for i in range(cells.shape[0]):
        if i > 0 and cells[i, C_SKU] == cells[i - 1, C_SKU]:
            continue
        starts[used] = i
        rows[used] = product_row(slots, cells[i, C_SKU])
        used += rows[used] != ABSENT
    return starts[:used], rows[:used]


@njit(cache=True, nogil=True)
def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else np.nan


@njit(cache=True, nogil=True)
def _top_groups(
    codes: np.ndarray,
    sums: np.ndarray,
    known: int,
    out_codes: np.ndarray,
    out_lines: np.ndarray,
    out_ratios: np.ndarray,
) -> int:
    """Fill in the groups with the most lines, most first; returns how many there are."""
    lines = np.zeros(known, dtype=np.int64)
    met = np.empty(codes.shape[0], dtype=np.int64)
    groups = 0
    for i in range(codes.shape[0]):
        if codes[i] >= 0:
            if lines[codes[i]] == 0:
                met[groups] = codes[i]
                groups += 1
            lines[codes[i]] += int(sums[i, S_LINES])
    top = _largest(met[:groups], lines, GROUPS_MAX)
    for k in range(top.shape[0]):
        out_lines[k] = lines[top[k]]
        lines[top[k]] = -1 - k  # from here on the place of a top group
    totals = np.zeros((GROUPS_MAX, SUMS))
    for i in range(codes.shape[0]):
        if codes[i] >= 0 and lines[codes[i]] < 0:
            k = -1 - lines[codes[i]]
            for column in range(SUMS):
                totals[k, column] += sums[i, column]
    for k in range(top.shape[0]):
        out_codes[k] = top[k]
        out_ratios[0, k] = _ratio(totals[k, S_TIER], totals[k, S_TIER_LINES])
        out_ratios[1, k] = _ratio(totals[k, S_NET], totals[k, S_USUAL_NET])
    return top.shape[0]


@njit(cache=True, nogil=True)
def _largest(codes: np.ndarray, values: np.ndarray, limit: int) -> np.ndarray:
    """Of these codes those with the largest values, largest first, ties by code."""
    top = np.empty(limit, dtype=np.int64)
    used = 0
    for code in codes:
        at = used
        while at > 0 and (
            values[top[at - 1]] < values[code] or (values[top[at - 1]] == values[code] and top[at - 1] > code)
        ):
            at -= 1
        if at >= limit:
            continue
        used = min(used + 1, limit)
        for k in range(used - 1, at, -1):
            top[k] = top[k - 1]
        top[at] = code
    return top[:used]
