"""JSON written by compiled code: into `out` from place `at` on; each function returns the place behind what it wrote.

`out` is uint8 and must have room; nothing here checks.
"""

import msgspec
import numpy as np
from numba import njit

from twin_store.messages.codec import SECONDS_PER_DAY

NUMBER_BYTES = 32  # room that any number here needs at most
DAY_BYTES = 12
MINUS, ZERO, POINT, COMMA, COLON, QUOTE, BACKSLASH = (ord(sign) for sign in '-0.,:"\\')
OPEN, CLOSE, LETTER_T, LETTER_Z = (ord(sign) for sign in "[]TZ")
NULL = np.frombuffer(b"null", dtype=np.uint8).copy()
_DAYS_TO_1970 = 719_468  # from the first day of March of the year 0
_DAYS_OF_400_YEARS = 146_097


def fragment(text: str) -> np.ndarray:
    """A text of the code itself, to be put as it stands."""
    return np.frombuffer(text.encode(), dtype=np.uint8).copy()


def quoted(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Texts from outside as JSON strings, one behind the other: uint8, and where each starts, int64 [n + 1]."""
    encoded = [msgspec.json.encode(text) for text in texts]
    starts = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(each) for each in encoded], out=starts[1:])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), starts


@njit(cache=True, nogil=True)
def put(out: np.ndarray, at: int, text: np.ndarray) -> int:
    """A fragment, or a JSON value that is written already."""
    for i in range(text.shape[0]):
        out[at + i] = text[i]
    return at + text.shape[0]


@njit(cache=True, nogil=True)
def put_null(out: np.ndarray, at: int) -> int:
    """What is not known."""
    return put(out, at, NULL)


@njit(cache=True, nogil=True)
def string_end(text: np.ndarray, start: int) -> int:
    """The place behind the JSON string that starts there."""
    at = start + 1
    while text[at] != QUOTE:
        at += 2 if text[at] == BACKSLASH else 1
    return at + 1


@njit(cache=True, nogil=True)
def put_int(out: np.ndarray, at: int, value: int) -> int:
    """A whole number."""
    if value < 0:
        out[at] = MINUS
        at += 1
    rest = abs(value)
    digits = 1
    while rest >= 10:
        rest //= 10
        digits += 1
    rest = abs(value)
    for place in range(digits - 1, -1, -1):
        out[at + place] = ZERO + rest % 10
        rest //= 10
    return at + digits


@njit(cache=True, nogil=True)
def put_ints(out: np.ndarray, at: int, values: np.ndarray) -> int:
    """An array of whole numbers."""
    out[at] = OPEN
    at += 1
    for i in range(values.shape[0]):
        if i > 0:
            out[at] = COMMA
            at += 1
        at = put_int(out, at, values[i])
    out[at] = CLOSE
    return at + 1


@njit(cache=True, nogil=True)
def put_money(out: np.ndarray, at: int, minor: int, digits: int) -> int:
    """Minor units as a decimal string, as `codec.to_money` writes them."""
    out[at] = QUOTE
    at += 1
    if minor < 0:
        out[at] = MINUS
        at += 1
    scale = 10**digits
    at = put_int(out, at, abs(minor) // scale)
    if digits > 0:
        out[at] = POINT
        at = _put_padded(out, at + 1, abs(minor) % scale, digits)
    out[at] = QUOTE
    return at + 1


@njit(cache=True, nogil=True)
def put_rounded(out: np.ndarray, at: int, value: float, digits: int) -> int:
    """A number rounded to so many decimals (half to even), without zeros at its end; null if it is NaN.

    Exact below 2**53 in units of the last decimal.
    """
    if np.isnan(value):
        return put_null(out, at)
    scale = 10**digits
    scaled = int(np.rint(value * scale))
    if scaled < 0:
        out[at] = MINUS
        at += 1
        scaled = -scaled
    at = put_int(out, at, scaled // scale)
    out[at] = POINT
    at += 1
    part = scaled % scale
    first = at
    while part > 0 or at == first:
        scale //= 10
        out[at] = ZERO + part // scale
        at += 1
        part %= scale
    return at


@njit(cache=True, nogil=True)
def put_day(out: np.ndarray, at: int, day: int) -> int:
    """The ISO 8601 date of a day since 1970-01-01, in quotes."""
    out[at] = QUOTE
    at = _put_date(out, at + 1, day)
    out[at] = QUOTE
    return at + 1


@njit(cache=True, nogil=True)
def put_instant(out: np.ndarray, at: int, second: int) -> int:
    """The UTC instant of epoch seconds as RFC 3339, in quotes; null for 0, which stands for never."""
    if second == 0:
        return put_null(out, at)
    out[at] = QUOTE
    at = _put_date(out, at + 1, second // SECONDS_PER_DAY)
    of_day = second % SECONDS_PER_DAY
    for sign, part in ((LETTER_T, of_day // 3600), (COLON, of_day // 60 % 60), (COLON, of_day % 60)):
        out[at] = sign
        at = _put_padded(out, at + 1, part, 2)
    out[at] = LETTER_Z
    out[at + 1] = QUOTE
    return at + 2


@njit(cache=True, nogil=True)
def _put_date(out: np.ndarray, at: int, day: int) -> int:
    """Years of four digits. Days are counted from a 1 March, so that leap days are the last of their year."""
    since = day + _DAYS_TO_1970
    era = since // _DAYS_OF_400_YEARS
    of_era = since - era * _DAYS_OF_400_YEARS
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * of_year + 2) // 153
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    at = _put_padded(out, at, year_of_era + era * 400 + (month <= 2), 4)
    out[at] = MINUS
    at = _put_padded(out, at + 1, month, 2)
    out[at] = MINUS
    return _put_padded(out, at + 1, of_year - (153 * month_from_march + 2) // 5 + 1, 2)


@njit(cache=True, nogil=True)
def _put_padded(out: np.ndarray, at: int, value: int, digits: int) -> int:
    for place in range(digits - 1, -1, -1):
        out[at + place] = ZERO + value % 10
        value //= 10
    return at + digits
