"""XXH64, compiled: the key of a string that stands in a buffer, the same as `twin_store.symbols.key_of`."""

from typing import Any

import numpy as np
from numba import njit

_U64 = np.uint64
_P1 = _U64(0x9E3779B185EBCA87)
_P2 = _U64(0xC2B2AE3D27D4EB4F)
_P3 = _U64(0x165667B19E3779F9)
_P4 = _U64(0x85EBCA77C2B2AE63)
_P5 = _U64(0x27D4EB2F165667C5)
_STRIPE = 32


@njit(inline="always")
def _rotated(value: Any, bits: int) -> Any:
    return (value << _U64(bits)) | (value >> _U64(64 - bits))


@njit(inline="always")
def word_at(text: Any, at: int) -> Any:
    """Eight bytes as a little-endian number (uint64); it compiles to one load."""
    value: Any = _U64(0)
    for i in range(8):
        value |= _U64(text[_U64(at) + _U64(i)]) << _U64(8 * i)  # an unsigned place needs no look at its sign
    return value


@njit(inline="always")
def _half_word_at(text: Any, at: int) -> Any:
    value: Any = _U64(0)
    for i in range(4):
        value |= _U64(text[_U64(at) + _U64(i)]) << _U64(8 * i)
    return value


@njit(inline="always")
def _round(lane: Any, word: Any) -> Any:
    return _rotated(lane + word * _P2, 31) * _P1


@njit(cache=True, nogil=True)
def key_between(text: Any, start: int, end: int) -> Any:
    """The signed 64-bit key (int64) of the bytes `text[start:end]` of an array or pointer of uint8."""
    at = start
    if end - start >= _STRIPE:
        one, two, three, four = _P1 + _P2, _P2, _U64(0), _U64(0) - _P1
        while at + _STRIPE <= end:
            one = _round(one, word_at(text, at))
            two = _round(two, word_at(text, at + 8))
            three = _round(three, word_at(text, at + 16))
            four = _round(four, word_at(text, at + 24))
            at += _STRIPE
        mixed: Any = _rotated(one, 1) + _rotated(two, 7) + _rotated(three, 12) + _rotated(four, 18)
        for lane in (one, two, three, four):
            mixed = (mixed ^ _round(_U64(0), lane)) * _P1 + _P4
    else:
        mixed = _P5
    mixed += _U64(end - start)
    while at + 8 <= end:
        mixed = _rotated(mixed ^ _round(_U64(0), word_at(text, at)), 27) * _P1 + _P4
        at += 8
    if at + 4 <= end:
        mixed = _rotated(mixed ^ (_half_word_at(text, at) * _P1), 23) * _P2 + _P3
        at += 4
    while at < end:
        mixed = _rotated(mixed ^ (_U64(text[at]) * _P5), 11) * _P1
        at += 1
    mixed = (mixed ^ (mixed >> _U64(33))) * _P2
    mixed = (mixed ^ (mixed >> _U64(29))) * _P3
    return np.int64(mixed ^ (mixed >> _U64(32)))
