"""One line of a receipt from raw bytes to its integer columns, compiled; the inner part of `receipt_parser`."""

from typing import Any

from numba import njit

from twin_store.dna.layout import (
    LINE_MEASURE,
    LINE_SKU,
    M_COUPON,
    M_COUPON_LINES,
    M_DEAL_LINES,
    M_DISCOUNT,
    M_LINES,
    M_NET,
    M_PRICED_LINES,
    M_UNITS,
    MEASURES,
)
from twin_store.hashing import key_between
from twin_store.json_scan import (
    CLOSE_OBJECT,
    COMMA,
    FAILED,
    field_at,
    field_names,
    identifier_end,
    identifiers,
    is_null,
    money,
    quantity,
    skip_space,
)

IDENTIFIER_MAX, IDENTIFIERS_MAX = 128, 50

SKU, QUANTITY, UNIT_PRICE, DISCOUNT, COUPON_DISCOUNT, NET, COUPON_IDS, PROMOTION_IDS = range(8)
_NAMES = field_names(
    "sku", "quantity", "unit_price", "discount", "coupon_discount", "net", "coupon_ids", "promotion_ids"
)
_NEEDED = 1 << SKU | 1 << QUANTITY


@njit(cache=True, nogil=True)
def parse_line(text: Any, at: int, row: Any, sku: Any, digits: int) -> int:
    """Read the line whose opening brace is at `at`: its columns to `row`, where its sku stands to `sku`.

    All three are pointers: uint8, int64 [LINE_COLUMNS], int64 [2].

    Returns the position after its closing brace, or FAILED.
    """
    for m in range(MEASURES):
        row[LINE_MEASURE + m] = 0
    row[LINE_MEASURE + M_LINES] = 1
    seen = 0
    field = -1
    while True:
        at, field = field_at(text, skip_space(text, at + 1), field, _NAMES)
        if at == FAILED or seen >> field & 1:
            return FAILED
        seen |= 1 << field
        if field == SKU:
            start = at + 1
            at = identifier_end(text, at, IDENTIFIER_MAX) + 1
            sku[0], sku[1] = start, at - 1
            at = at if at > 0 else FAILED
        else:
            at = _value(text, at, field, row, digits)
        if at == FAILED:
            return FAILED
        at = skip_space(text, at)
        if text[at] != COMMA:
            break
    if text[at] != CLOSE_OBJECT or seen & _NEEDED != _NEEDED:
        return FAILED
    row[LINE_SKU] = key_between(text, sku[0], sku[1])
    if row[LINE_MEASURE + M_DISCOUNT] > 0:
        row[LINE_MEASURE + M_DEAL_LINES] = 1
    if row[LINE_MEASURE + M_COUPON] > 0:
        row[LINE_MEASURE + M_COUPON_LINES] = 1
    return at + 1


@njit(cache=True, nogil=True)
def _value(text: Any, at: int, field: int, row: Any, digits: int) -> int:
    """Read one field other than the sku; returns the position after it, or FAILED."""
    if field == QUANTITY:
        at, row[LINE_MEASURE + M_UNITS] = quantity(text, at)
    elif field in (COUPON_IDS, PROMOTION_IDS):
        at, count = identifiers(text, at, IDENTIFIERS_MAX, IDENTIFIER_MAX)
        if count:
            row[LINE_MEASURE + (M_COUPON_LINES if field == COUPON_IDS else M_DEAL_LINES)] = 1
    elif field in (UNIT_PRICE, NET) and is_null(text, at):
        at += 4
    else:
        at, minor = money(text, at, digits)
        if field == NET:
            row[LINE_MEASURE + M_NET] = minor
            row[LINE_MEASURE + M_PRICED_LINES] = 1
        elif field == DISCOUNT:
            row[LINE_MEASURE + M_DISCOUNT] = minor
        elif field == COUPON_DISCOUNT:
            row[LINE_MEASURE + M_COUPON] = minor
    return at
