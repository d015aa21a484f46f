"""More options than letters: groups with an anchor, and one scale."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.deciders.language.options import ANCHOR, OPTIONS_MAX, groups_of, on_one_scale


@given(count=st.integers(2, 300))
def test_every_option_is_in_one_group_and_the_anchor_in_all(count: int) -> None:
    groups = groups_of(count)
    assert all(2 <= len(group) <= OPTIONS_MAX and group[0] == ANCHOR for group in groups)
    assert sorted(place for group in groups for place in group[1:]) == list(range(1, count))
    assert (len(groups) == 1) == (count <= OPTIONS_MAX)


@given(weights=st.lists(st.floats(0.001, 1000), min_size=2, max_size=90))
def test_a_model_that_keeps_to_luces_axiom_is_told_exactly(weights: list[float]) -> None:
    groups = groups_of(len(weights))
    said = [[weights[p] / sum(weights[q] for q in group) for p in group] for group in groups]
    truth = [weight / sum(weights) for weight in weights]
    assert on_one_scale(groups, said) == pytest.approx(truth)


def test_an_anchor_that_the_model_rules_out_leaves_probabilities() -> None:
    groups = groups_of(30)
    said = [[0.0, *[1 / (len(group) - 1)] * (len(group) - 1)] for group in groups]
    found = on_one_scale(groups, said)
    assert sum(found) == pytest.approx(1)
    assert found[ANCHOR] < 1e-9
