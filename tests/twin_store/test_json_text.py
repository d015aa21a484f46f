"""JSON that compiled code writes, against the JSON library and the codec."""

import json
import math
from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twin_store.json_text import (
    DAY_BYTES,
    NUMBER_BYTES,
    put_day,
    put_instant,
    put_int,
    put_ints,
    put_money,
    put_rounded,
    quoted,
    string_end,
)
from twin_store.messages.codec import instant_of, to_money

BIGGEST = 2**63 - 1


def written(put: Callable[..., int], *values: object, room: int = NUMBER_BYTES) -> str:
    """What it puts, which stays within the room and begins where it should."""
    out = np.full(1 + room, ord("#"), dtype=np.uint8)
    end = put(out, 1, *values)
    assert out[0] == ord("#")
    assert 1 < end <= 1 + room
    return out[1:end].tobytes().decode()


@settings(deadline=None)  # the first call compiles
@given(st.integers(-BIGGEST, BIGGEST))
@example(0)
@example(BIGGEST)
def test_whole_numbers(value: int) -> None:
    assert written(put_int, value) == str(value)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.integers(-BIGGEST, BIGGEST), max_size=30))
def test_arrays_of_whole_numbers(values: list[int]) -> None:
    text = written(put_ints, np.array(values, dtype=np.int64), room=2 + 21 * len(values))
    assert json.loads(text) == values


@settings(deadline=None)  # the first call compiles
@given(st.floats(-1e9, 1e9), st.integers(1, 4))
@example(-0.00001, 4)
@example(0.99999, 3)
@example(1_234.5, 1)
def test_rounded_numbers(value: float, digits: int) -> None:
    text = written(put_rounded, value, digits)
    whole, _, part = text.partition(".")
    assert 1 <= len(part) <= digits
    assert len(part) == 1 or not part.endswith("0")
    # Half of the last decimal, and what doubles of that size cannot tell apart.
    assert abs(json.loads(text) - value) <= 0.5 * 10**-digits + 1e-6
    assert whole != "-0" or part != "0"


def test_what_is_no_number_is_null() -> None:
    assert written(put_rounded, math.nan, 3) == "null"


@settings(deadline=None)  # the first call compiles
@given(st.integers(-BIGGEST, BIGGEST), st.integers(0, 4))
@example(-5, 2)
def test_money_is_as_the_codec_writes_it(minor: int, digits: int) -> None:
    assert json.loads(written(put_money, minor, digits)) == to_money(minor, digits)


@settings(deadline=None)  # the first call compiles
@given(st.dates(date(1000, 1, 1), date(9999, 12, 31)))
@example(date(2000, 2, 29))
@example(date(1900, 3, 1))
@example(date(1970, 1, 1))
def test_days(day: date) -> None:
    assert json.loads(written(put_day, (day - date(1970, 1, 1)) // timedelta(days=1), room=DAY_BYTES)) == str(
        day
    )


@settings(deadline=None)  # the first call compiles
@given(st.integers(1, 253_402_300_799))
def test_instants_are_as_the_json_library_writes_them(second: int) -> None:
    assert written(put_instant, second).encode() == msgspec.json.encode(instant_of(second))


def test_never_is_null() -> None:
    assert written(put_instant, 0) == "null"


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.text(), max_size=5))
@example(['"', "\\", "a\\", '\\"', "", "é"])
def test_strings_are_found_in_their_array(texts: list[str]) -> None:
    array = np.frombuffer(msgspec.json.encode(texts), dtype=np.uint8)
    at = 1
    for text in texts:
        end = string_end(array, at)
        assert json.loads(array[at:end].tobytes()) == text
        at = end + 1


@pytest.mark.parametrize("texts", [[], ["a", 'b"c', "é"]])
def test_quoted_texts_stand_one_behind_the_other(texts: list[str]) -> None:
    joined, starts = quoted(texts)
    found = [json.loads(joined[a:b].tobytes()) for a, b in pairwise(starts.tolist())]
    assert found == texts
