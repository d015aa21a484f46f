"""The Shopping-DNA as JSON, compiled: what `messages.profiles.ShoppingDna` says, from a twin's tables.

Rendering is most of what a touched twin costs, and as objects for a JSON library to encode it costs twice as much.
What has names that only Python knows (skus, stores, demographics) is handed in as JSON.
"""

import numpy as np
from numba import njit

from twin_store.dna.layout import (
    H_FIRST_SECOND,
    H_FUNNEL,
    H_HOUR,
    H_LAST_SECOND,
    H_MEASURE,
    H_RECEIPTS,
    H_RETURNED_LINES,
    H_SESSIONS,
    H_WEEKDAY,
    M_LINES,
    M_NET,
    M_UNITS,
    READ_WEEKS,
)
from twin_store.dna.preference_text import REGULARS_ROOM, write_groups, write_regulars
from twin_store.dna.preferences import read_preferences
from twin_store.dna.reading import BEFORE_WEEKS, RECENT_WEEKS, WindowTotals, window_totals
from twin_store.json_text import (
    NUMBER_BYTES,
    fragment,
    put,
    put_instant,
    put_int,
    put_ints,
    put_money,
    put_rounded,
)
from twin_store.messages.codec import SECONDS_PER_DAY

HOURS, WEEKDAYS = 24, 7
# SimPersona, section 3.1: W = 3 add-to-cart + 5 checkout-start + 8 purchase; intent = W / (sessions + W).
SEARCH, VIEW, ADD, REMOVE, CHECKOUT, PURCHASE = range(H_FUNNEL, H_FUNNEL + 6)
ADD_WEIGHT, CHECKOUT_WEIGHT, PURCHASE_WEIGHT = 3, 5, 8

_RECEIPTS, _LINES, _UNITS = map(fragment, ('{"activity":{"receipts":', ',"lines":', ',"units":'))
_SPEND, _RETURNED = fragment(',"spend":'), fragment(',"returned_lines":')
_FIRST_SEEN, _LAST_SEEN = fragment(',"first_seen":'), fragment(',"last_seen":')
_MEAN_SPEND, _MEAN_LINES = fragment('},"basket":{"mean_spend":'), fragment(',"mean_lines":')
_BETWEEN = fragment(',"days_between_trips":')
_DEAL_SHARE, _COUPON_LINES = fragment('},"promotion":{"deal_share":'), fragment(',"coupon_lines":')
_DISCOUNT_SHARE, _DEAL_LIFT = fragment(',"discount_share":'), fragment(',"deal_lift":')
_BY_HOUR, _BY_WEEKDAY = fragment('},"timing":{"by_hour":'), fragment(',"by_weekday":')
_SINCE_LAST, _SPEND_4 = fragment('},"trend":{"days_since_last_receipt":'), fragment(',"spend_last_4_weeks":')
_SPEND_RATIO = fragment(',"spend_ratio":')
_SESSIONS, _SEARCH, _VIEW = map(fragment, ('},"funnel":{"sessions":', ',"search":', ',"view":'))
_ADD, _REMOVE = fragment(',"add_to_cart":'), fragment(',"remove_from_cart":')
_CHECKOUT, _PURCHASE, _INTENT = map(fragment, (',"checkout_start":', ',"purchase":', ',"intent":'))
_PRICE_TIER, _PRICE_INDEX = fragment('},"price_tier":'), fragment(',"price_index":')
_CATEGORIES, _TYPES, _BRANDS = map(fragment, (',"categories":', ',"types":', ',"brands":'))
_REGULARS, _NEXT = fragment(',"regulars":'), fragment(",")
_FRAGMENTS = sum(len(each) for each in list(globals().values()) if isinstance(each, np.ndarray))
_NUMBERS = 32 + HOURS + WEEKDAYS
ROOM = _FRAGMENTS + _NUMBERS * NUMBER_BYTES + REGULARS_ROOM
"""Bytes that the DNA takes at most, without groups and what is handed in."""


@njit(cache=True, nogil=True)
def write_dna(
    out: np.ndarray, digits: int, head: np.ndarray, cells: np.ndarray, visits: np.ndarray, as_of: int,
    slots: np.ndarray, facts: np.ndarray, known: np.ndarray,
    names: np.ndarray, name_starts: np.ndarray, first_names: np.ndarray,
    regulars: np.ndarray, skus: np.ndarray, rest: np.ndarray,
) -> int:  # fmt: skip
    """The DNA at the start of `out`; returns how many bytes it takes.

    Args:
        digits: of the currency's minor unit.
        slots, facts, known: `preferences.Products`.
        names, name_starts, first_names: `preference_text.GroupNames`.
        regulars, skus: `reading.regular_items`, and a JSON array of their skus.
        rest: a JSON object of the other fields.
    """
    as_of_day = as_of // SECONDS_PER_DAY
    totals = window_totals(cells, visits, as_of_day)
    numbers, counts, codes, lines, ratios = read_preferences(cells, as_of_day, slots, facts, known)
    at = _activity(out, 0, digits, head)
    at = _basket(out, at, digits, head, totals, as_of_day)
    at = _promotion(out, at, totals, numbers[2])
    at = put_ints(out, put(out, at, _BY_HOUR), head[H_HOUR : H_HOUR + HOURS])
    at = put_ints(out, put(out, at, _BY_WEEKDAY), head[H_WEEKDAY : H_WEEKDAY + WEEKDAYS])
    at = _trend(out, at, digits, head, totals, as_of)
    at = _funnel(out, at, head)
    at = put_rounded(out, put(out, at, _PRICE_TIER), numbers[0], 3)
    at = put_rounded(out, put(out, at, _PRICE_INDEX), numbers[1], 3)
    for level, key in enumerate((_CATEGORIES, _TYPES, _BRANDS)):
        starts = name_starts[first_names[level] :]
        at = put(out, at, key)
        at = write_groups(
            out, at, totals.lines, counts[level], codes[level], lines[level], ratios[level], names, starts
        )
    at = write_regulars(out, put(out, at, _REGULARS), regulars, as_of_day, skus)
    return put(out, put(out, at, _NEXT), rest[1:])


@njit(cache=True, nogil=True)
def _activity(out: np.ndarray, at: int, digits: int, head: np.ndarray) -> int:
    at = put_int(out, put(out, at, _RECEIPTS), head[H_RECEIPTS])
    at = put_int(out, put(out, at, _LINES), head[H_MEASURE + M_LINES])
    at = put_rounded(out, put(out, at, _UNITS), head[H_MEASURE + M_UNITS] / 1000, 3)
    at = put_money(out, put(out, at, _SPEND), head[H_MEASURE + M_NET], digits)
    at = put_int(out, put(out, at, _RETURNED), head[H_RETURNED_LINES])
    at = put_instant(out, put(out, at, _FIRST_SEEN), head[H_FIRST_SECOND])
    return put_instant(out, put(out, at, _LAST_SEEN), head[H_LAST_SECOND])


@njit(cache=True, nogil=True)
def _basket(
    out: np.ndarray, at: int, digits: int, head: np.ndarray, totals: WindowTotals, as_of_day: int
) -> int:
    first_day = max(head[H_FIRST_SECOND] // SECONDS_PER_DAY, as_of_day - 7 * READ_WEEKS)
    days = head[H_LAST_SECOND] // SECONDS_PER_DAY - first_day
    mean = totals.receipt_net / totals.receipts if totals.receipts > 0 else 0.0
    gaps = totals.receipts - 1
    at = put_money(out, put(out, at, _MEAN_SPEND), int(np.rint(mean)), digits)
    at = put_rounded(out, put(out, at, _MEAN_LINES), _share(totals.receipt_lines, totals.receipts), 2)
    return put_rounded(out, put(out, at, _BETWEEN), days / gaps if gaps > 0 else np.nan, 2)


@njit(cache=True, nogil=True)
def _promotion(out: np.ndarray, at: int, totals: WindowTotals, deal_lift: float) -> int:
    at = put_rounded(out, put(out, at, _DEAL_SHARE), _share(totals.deal_lines, totals.lines), 4)
    at = put_int(out, put(out, at, _COUPON_LINES), totals.coupon_lines)
    discount = _share(totals.discount, totals.net + totals.discount)
    at = put_rounded(out, put(out, at, _DISCOUNT_SHARE), discount, 4)
    return put_rounded(out, put(out, at, _DEAL_LIFT), deal_lift, 3)


@njit(cache=True, nogil=True)
def _trend(out: np.ndarray, at: int, digits: int, head: np.ndarray, totals: WindowTotals, as_of: int) -> int:
    last = head[H_LAST_SECOND]
    before = totals.before_net * RECENT_WEEKS / BEFORE_WEEKS
    at = put_rounded(out, put(out, at, _SINCE_LAST), (as_of - last) / SECONDS_PER_DAY if last else np.nan, 3)
    at = put_money(out, put(out, at, _SPEND_4), totals.recent_net, digits)
    return put_rounded(
        out, put(out, at, _SPEND_RATIO), totals.recent_net / before if before > 0 else np.nan, 3
    )


@njit(cache=True, nogil=True)
def _funnel(out: np.ndarray, at: int, head: np.ndarray) -> int:
    weight = ADD_WEIGHT * head[ADD] + CHECKOUT_WEIGHT * head[CHECKOUT] + PURCHASE_WEIGHT * head[PURCHASE]
    at = put_int(out, put(out, at, _SESSIONS), head[H_SESSIONS])
    at = put_int(out, put(out, at, _SEARCH), head[SEARCH])
    at = put_int(out, put(out, at, _VIEW), head[VIEW])
    at = put_int(out, put(out, at, _ADD), head[ADD])
    at = put_int(out, put(out, at, _REMOVE), head[REMOVE])
    at = put_int(out, put(out, at, _CHECKOUT), head[CHECKOUT])
    at = put_int(out, put(out, at, _PURCHASE), head[PURCHASE])
    return put_rounded(out, put(out, at, _INTENT), _share(weight, head[H_SESSIONS] + weight), 4)


@njit(cache=True, nogil=True)
def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
