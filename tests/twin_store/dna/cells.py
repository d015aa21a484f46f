"""Cells of a twin by hand: rows as dictionaries, as tables, and anywhere around the edges of the read window."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from twin_store.dna.layout import READ_WEEKS

MANY = settings(max_examples=150, deadline=None)
AS_OF = 18_000
WINDOW = 7 * READ_WEEKS
SKUS = tuple(range(-20, 20))
LINES, UNITS, NET, DISCOUNT, COUPON, DEAL, COUPON_LINES, PRICED = range(8)
Rows = dict[tuple[int, int], tuple[int, ...]]


def table(rows: Rows, columns: int) -> np.ndarray:
    """Rows as a sorted table; columns that are not given are zero."""
    out = np.zeros((len(rows), columns), dtype=np.int64)
    for i, (key, values) in enumerate(sorted(rows.items())):
        out[i, : 2 + len(values)] = (*key, *values)
    return out


days = st.one_of(
    st.sampled_from([AS_OF - age for age in (0, 27, 28, 83, 84, WINDOW - 1, WINDOW, WINDOW + 1)]),
    st.integers(AS_OF - 2 * WINDOW, AS_OF),
)
measures = st.tuples(
    st.integers(0, 3), st.integers(0, 4), st.integers(-5, 900), st.integers(0, 50), st.integers(0, 20),
    st.integers(0, 2), st.integers(0, 2), st.integers(0, 3),
)  # fmt: skip
bought = st.dictionaries(st.tuples(st.sampled_from(SKUS), days), measures, max_size=60)
