"""The pieces of a strict JSON scanner, compiled: names, strings, money, quantities, instants.

Each function takes a pointer to the messages (uint8) and a position, and returns the position after what it read
or FAILED for anything out of the ordinary, right or wrong: escapes, other scripts, exponents, a value out of
range. Whoever calls leaves such a message to the full decoder, so what is read here must be right and may be
little. A NUL must stand after each message; it is nowhere valid, so nothing reads on past it.
"""

from typing import Any

import numpy as np
from numba import njit

from twin_store.hashing import word_at
from twin_store.messages.base import INSTANT_SECONDS_MAX, QUANTITY_MAX
from twin_store.messages.codec import SECONDS_PER_DAY

FAILED = -1
QUOTE, COMMA, COLON = 0x22, 0x2C, 0x3A
OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST = 0x7B, 0x7D, 0x5B, 0x5D
_MINUS, _PLUS, _POINT, _ZERO, _NINE, _T, _Z = 0x2D, 0x2B, 0x2E, 0x30, 0x39, 0x54, 0x5A
_SPACE, _TAB, _LINE_FEED, _CARRIAGE_RETURN = 0x20, 0x09, 0x0A, 0x0D
_BACKSLASH, _DELETE = 0x5C, 0x7F
MONEY_WHOLE_MAX, MONEY_DECIMALS_MAX = 7, 4
NUMBER_DIGITS_MAX = (
    15  # a whole number of so many digits is exact as a float, and so is its quotient by 10**n
)
FRACTION_MAX = 6
NAME_WORDS = 3
_TENS = 10 ** np.arange(NUMBER_DIGITS_MAX + 1)
_FLOAT_TENS = _TENS.astype(np.float64)
_MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_DAYS_BEFORE = np.cumsum(_MONTH_DAYS) - _MONTH_DAYS


def bytes_of(text: bytes) -> np.ndarray:
    """Bytes as an array that compiled code can hold as a constant."""
    return np.frombuffer(text, dtype=np.uint8).copy()


_NULL = bytes_of(b"null")


@njit(cache=True, nogil=True)
def skip_space(text: Any, at: int) -> int:
    """Past JSON white space."""
    while text[at] <= _SPACE and (
        text[at] == _SPACE or text[at] == _LINE_FEED or text[at] == _TAB or text[at] == _CARRIAGE_RETURN
    ):
        at += 1
    return at


@njit(cache=True, nogil=True)
def string_end(text: Any, at: int) -> int:
    """The closing quote of a string of printable ASCII without escapes; `at` is after the opening quote."""
    while _SPACE <= text[at] < _DELETE and text[at] != QUOTE and text[at] != _BACKSLASH:
        at += 1
    return at if text[at] == QUOTE else FAILED


@njit(cache=True, nogil=True)
def identifier_end(text: Any, at: int, length_max: int) -> int:
    """The closing quote of a string of 1 to `length_max` characters; `at` is at its opening quote."""
    if text[at] != QUOTE:
        return FAILED
    end = string_end(text, at + 1)
    return end if 0 < end - at - 1 <= length_max else FAILED


@njit(cache=True, nogil=True)
def starts_with(text: Any, at: int, expected: np.ndarray) -> bool:
    """Whether these bytes stand at this position."""
    for i in range(expected.shape[0]):
        if text[at + i] != expected[i]:
            return False
    return True


@njit(cache=True, nogil=True)
def is_null(text: Any, at: int) -> bool:
    """Whether `null` stands here."""
    return starts_with(text, at, _NULL)


def field_names(*fields: str) -> np.ndarray:
    """What `field_at` looks for; a field's number is its place.

    Returns:
        uint64 [fields, 1 + 2 * NAME_WORDS]: the length of the name with its closing quote, then its bytes in
        words of eight, little-endian, each followed by a mask of the bytes that count.
    """
    table = np.zeros((len(fields), 1 + 2 * NAME_WORDS), dtype=np.uint64)
    for row, field in zip(table, fields, strict=True):
        quoted = f'{field}"'.encode()
        row[0] = len(quoted)
        row[1::2] = np.frombuffer(quoted.ljust(8 * NAME_WORDS, b"\0"), dtype="<u8")
        row[2::2] = np.frombuffer((b"\xff" * len(quoted)).ljust(8 * NAME_WORDS, b"\0"), dtype="<u8")
    return table


@njit(cache=True, nogil=True)
def field_at(text: Any, at: int, last: int, names: Any) -> tuple[int, int]:
    """Which known field stands here: the position of its value, and its number.

    Args:
        last: the field before; the ones after it are tried first, since producers write in a fixed order.
        names: what `field_names` made.
    """
    if text[at] != QUOTE:
        return FAILED, 0
    at += 1
    word = word_at(text, at)
    field = last
    for _ in range(names.shape[0]):
        field = field + 1 if field + 1 < names.shape[0] else 0
        if word & names[field, 2] == names[field, 1] and _rest_is(text, at, names, field):
            at += int(names[field, 0])
            at = skip_space(text, at)
            return (skip_space(text, at + 1) if text[at] == COLON else FAILED), field
    return FAILED, 0


@njit(cache=True, nogil=True)
def _rest_is(text: Any, at: int, names: np.ndarray, field: int) -> bool:
    """Whether the words of a name after the first one stand here."""
    k = 1
    while k < NAME_WORDS and names[field, 2 * k + 2] != 0:
        if word_at(text, at + 8 * k) & names[field, 2 * k + 2] != names[field, 2 * k + 1]:
            return False
        k += 1
    return True


@njit(cache=True, nogil=True)
def identifiers(text: Any, at: int, count_max: int, length_max: int) -> tuple[int, int]:
    """A list of identifiers: the position after it, and how many there are."""
    if text[at] != OPEN_LIST:
        return FAILED, 0
    at = skip_space(text, at + 1)
    if text[at] == CLOSE_LIST:
        return at + 1, 0
    for count in range(1, count_max + 1):
        end = identifier_end(text, at, length_max)
        if end == FAILED:
            return FAILED, 0
        at = skip_space(text, end + 1)
        if text[at] == CLOSE_LIST:
            return at + 1, count
        if text[at] != COMMA:
            return FAILED, 0
        at = skip_space(text, at + 1)
    return FAILED, 0


@njit(cache=True, nogil=True, error_model="numpy")
def money(text: Any, at: int, digits: int) -> tuple[int, int]:
    """A money string: the position after it, and its minor units, half to even as `codec.to_minor` rounds."""
    if text[at] != QUOTE:
        return FAILED, 0
    at += 1
    negative = text[at] == _MINUS
    start = at = at + 1 if negative else at
    minor = 0
    while _ZERO <= text[at] <= _NINE:
        minor = 10 * minor + (text[at] - _ZERO)
        at += 1
    if at == start or at - start > MONEY_WHOLE_MAX:
        return FAILED, 0
    decimals = 0
    if text[at] == _POINT:
        start = at = at + 1
        while _ZERO <= text[at] <= _NINE:
            minor = 10 * minor + (text[at] - _ZERO)
            at += 1
        decimals = at - start
        if decimals == 0 or decimals > MONEY_DECIMALS_MAX:
            return FAILED, 0
    if text[at] != QUOTE:
        return FAILED, 0
    if decimals <= digits:
        minor *= _TENS[digits - decimals]
    else:
        minor = _half_even(minor, _TENS[decimals - digits])
    return at + 1, -minor if negative else minor


@njit(cache=True, nogil=True, error_model="numpy")
def _half_even(value: int, unit: int) -> int:
    """`value / unit`, rounded half to even; neither is negative."""
    quotient = value // unit
    twice = 2 * (value - quotient * unit)
    return quotient + 1 if twice > unit or (twice == unit and quotient & 1) else quotient


@njit(cache=True, nogil=True, error_model="numpy")
def quantity(text: Any, at: int) -> tuple[int, int]:
    """A number from 0 to QUANTITY_MAX: the position after it, and its thousandths, half to even.

    The float in between is the one that a correct parser gives, so its rounding is the full decoder's.
    """
    start = at
    mantissa = 0
    while _ZERO <= text[at] <= _NINE:
        mantissa = 10 * mantissa + (text[at] - _ZERO)
        at += 1
    digits = at - start
    if digits == 0 or (digits > 1 and text[start] == _ZERO):
        return FAILED, 0
    decimals = 0
    if text[at] == _POINT:
        start = at = at + 1
        while _ZERO <= text[at] <= _NINE:
            mantissa = 10 * mantissa + (text[at] - _ZERO)
            at += 1
        decimals = at - start
        if decimals == 0:
            return FAILED, 0
    # The sum of digits is checked before the number is used: until then it may have wrapped around.
    if digits + decimals > NUMBER_DIGITS_MAX or mantissa > QUANTITY_MAX * _TENS[decimals]:
        return FAILED, 0
    if decimals == 0:
        return at, 1000 * mantissa
    return at, int(np.rint(mantissa / _FLOAT_TENS[decimals] * 1000))


@njit(cache=True, nogil=True)
def instant(text: Any, at: int) -> tuple[int, int]:
    """An RFC 3339 string: the position after it, and its epoch second, rounded down."""
    if text[at] != QUOTE:
        return FAILED, 0
    at += 1
    day = _date(text, at)
    clock = _clock(text, at + 11) if day != FAILED else FAILED
    if clock == FAILED or text[at + 10] != _T or text[at + 16] != COLON:
        return FAILED, 0
    seconds = _number(text, at + 17, 2)
    if seconds == FAILED or seconds > 59:
        return FAILED, 0
    at += 19
    if text[at] == _POINT:
        start = at = at + 1
        while _ZERO <= text[at] <= _NINE:
            at += 1
        if at == start or at - start > FRACTION_MAX:
            return FAILED, 0
    offset = 0
    if text[at] == _Z:
        at += 1
    elif text[at] == _PLUS or text[at] == _MINUS:
        offset = _clock(text, at + 1)
        if offset == FAILED:
            return FAILED, 0
        offset = -offset if text[at] == _MINUS else offset
        at += 6
    else:
        return FAILED, 0
    second = day * SECONDS_PER_DAY + clock + seconds - offset
    # The second 0 may hold a good instant, after its fraction; that is for the full decoder to say.
    if text[at] != QUOTE or not 0 < second < INSTANT_SECONDS_MAX:
        return FAILED, 0
    return at + 1, second


@njit(cache=True, nogil=True)
def _number(text: Any, at: int, count: int) -> int:
    """The value of exactly `count` digits, or FAILED."""
    value = 0
    for i in range(at, at + count):
        if not _ZERO <= text[i] <= _NINE:
            return FAILED
        value = 10 * value + (text[i] - _ZERO)
    return value


@njit(cache=True, nogil=True)
def _clock(text: Any, at: int) -> int:
    """The seconds of `hh:mm`, or FAILED."""
    hours = _number(text, at, 2)
    if hours == FAILED or hours > 23 or text[at + 2] != COLON:
        return FAILED
    minutes = _number(text, at + 3, 2)
    return hours * 3600 + minutes * 60 if minutes != FAILED and minutes < 60 else FAILED


@njit(cache=True, nogil=True)
def _date(text: Any, at: int) -> int:
    """The days since 1970-01-01 of a `yyyy-mm-dd` from 1970 to 2099, or FAILED."""
    year = _number(text, at, 4)
    if year == FAILED or not 1970 <= year < 2100 or text[at + 4] != _MINUS:
        return FAILED
    month = _number(text, at + 5, 2)
    if month == FAILED or not 1 <= month <= 12 or text[at + 7] != _MINUS:
        return FAILED
    day = _number(text, at + 8, 2)
    leap = year % 4 == 0
    if day < 1 or day > _MONTH_DAYS[month - 1] + (leap and month == 2):
        return FAILED
    days_before = (year - 1970) * 365 + (year - 1969) // 4 + _DAYS_BEFORE[month - 1]
    return days_before + (leap and month > 2) + day - 1
