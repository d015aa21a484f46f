"""The map of keys to rows: numbered in order of arrival, whatever the keys."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_store.key_index import ABSENT, KeyIndex, find_all

KEYS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=300)


@settings(deadline=None)
@given(KEYS, KEYS)
def test_every_key_has_the_row_of_its_first_arrival(first: list[int], second: list[int]) -> None:
    index = KeyIndex()
    given_rows = [*index.add(np.array(first, dtype=np.int64)), *index.add(np.array(second, dtype=np.int64))]
    expected: dict[int, int] = {}
    for key in first + second:
        expected.setdefault(key, len(expected))
    assert given_rows == [expected[key] for key in first + second]
    assert len(index) == len(expected)
    assert all(index.row(key) == row for key, row in expected.items())
    assert index.in_order().tolist() == list(expected)


def test_keys_that_collide_are_told_apart() -> None:
    index = KeyIndex()
    same_low_bits = np.arange(200, dtype=np.int64) << 32
    index.add(same_low_bits)
    assert find_all(index.keys, index.rows, same_low_bits).tolist() == list(range(200))
    assert find_all(index.keys, index.rows, same_low_bits + 1).tolist() == [ABSENT] * 200
