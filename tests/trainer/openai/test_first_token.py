"""Whatever a server leaves out of its list, the truth is within the doubt that is told."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.deciders.language.readout import among
from trainer.deciders.openai.first_token import weigh

OPTIONS = ("YES", "NO", "A", "B")


@given(
    masses=st.lists(st.floats(1e-6, 1.0), min_size=6, max_size=40),
    places=st.permutations(range(6)),
    listed=st.integers(1, 40),
    count=st.integers(2, 4),
)
def test_the_truth_is_within_the_doubt(
    masses: list[float], places: list[int], listed: int, count: int
) -> None:
    names = dict(zip(places, OPTIONS, strict=False))
    total = sum(masses)
    truth = {names.get(n, f"other {n}"): math.log(mass / total) for n, mass in enumerate(masses)}
    top = dict(sorted(truth.items(), key=lambda pair: -pair[1])[:listed])
    options = [(name,) for name in OPTIONS[:count]]
    weighed = weigh(top, options)
    exact = among(dict(enumerate(truth[name] for name in OPTIONS)), [(n,) for n in range(count)])
    assert sum(weighed.scored.probabilities) == pytest.approx(1.0)
    assert weighed.scored.joint_mass <= exact.joint_mass + 1e-9
    for said, true in zip(weighed.scored.probabilities, exact.probabilities, strict=True):
        assert abs(said - true) <= weighed.doubt + 1e-9
    if all(name in top for name in OPTIONS[:count]):
        assert weighed.doubt < 1e-6
        assert weighed.scored.joint_mass == pytest.approx(exact.joint_mass)


def test_spellings_add_up() -> None:
    top = {"YES": math.log(0.3), " YES": math.log(0.1), "NO": math.log(0.4), "No": math.log(0.2)}
    weighed = weigh(top, [("YES", " YES"), ("NO", "No")])
    assert weighed.scored.probabilities == pytest.approx((0.4, 0.6))
    assert weighed.doubt == pytest.approx(0, abs=1e-9)


def test_an_empty_list_says_nothing() -> None:
    weighed = weigh({}, [("A",), ("B",), ("C",)])
    assert weighed.scored.joint_mass == 0
    assert weighed.doubt == pytest.approx(2 / 3)
