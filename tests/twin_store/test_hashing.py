"""Compiled code and Python agree on the key of a string."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_store.distinct import number_strings, some_of_each
from twin_store.hashing import key_between
from twin_store.symbols import key_of


@settings(max_examples=1_000, deadline=None)
@given(st.text(max_size=150), st.binary(max_size=9), st.binary(max_size=9))
def test_a_key_depends_on_the_string_alone(text: str, before: bytes, after: bytes) -> None:
    inside = np.frombuffer(before + text.encode() + after, dtype=np.uint8)
    assert key_between(inside, len(before), len(before) + len(text.encode())) == key_of(text)


def test_every_length_has_its_key() -> None:
    text = "abcdefghijklmnopqrstuvwxyz" * 8
    whole = np.frombuffer(text.encode(), dtype=np.uint8)
    keys = [key_between(whole, 0, length) for length in range(len(text) + 1)]
    assert keys == [key_of(text[:length]) for length in range(len(text) + 1)]
    assert len(set(keys)) == len(keys)


@given(st.lists(st.sampled_from(["a", "b", "ab", "abc", "ba", "c" * 40]), max_size=60))
def test_strings_are_numbered_as_they_appear(texts: list[str]) -> None:
    ends = np.cumsum([0, *map(len, texts)])
    places = np.stack((ends[:-1], ends[1:]), axis=1).astype(np.int64)
    numbers, known = number_strings(np.frombuffer("".join(texts).encode() + b"\0", dtype=np.uint8), places)
    distinct = list(dict.fromkeys(texts))
    assert numbers.tolist() == [distinct.index(text) for text in texts]
    assert ["".join(texts)[start:end] for start, end in known.tolist()] == distinct


@given(st.lists(st.integers(-3, 3), max_size=50))
def test_no_key_is_left_out(keys: list[int]) -> None:
    found = some_of_each(np.array(keys, dtype=np.int64)).tolist()
    assert {keys[i] for i in found} == set(keys)
    assert found == sorted(found)
