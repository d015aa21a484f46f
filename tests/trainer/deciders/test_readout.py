"""Probabilities from the first token's logarithms."""

import math

import pytest

from trainer.deciders.language.readout import Scored, among, yes_no


def test_p_yes_is_the_share_of_yes_and_the_mass_is_what_both_have() -> None:
    answer = yes_no({1: math.log(0.3), 2: math.log(0.1), 3: math.log(0.6)}, [1], [2])
    assert answer.p_yes == pytest.approx(0.75)
    assert answer.joint_mass == pytest.approx(0.4)


def test_spellings_of_an_answer_add_up() -> None:
    answer = yes_no({1: math.log(0.2), 4: math.log(0.1), 2: math.log(0.1)}, [1, 4], [2])
    assert answer.p_yes == pytest.approx(0.75)
    assert answer.joint_mass == pytest.approx(0.4)


def test_options_are_compared_among_themselves() -> None:
    scored = among({7: math.log(0.02), 8: math.log(0.06)}, [[7], [8]])
    assert scored.probabilities == pytest.approx((0.25, 0.75))
    assert scored.joint_mass == pytest.approx(0.08)


def test_a_model_that_is_sure_of_something_else_still_ranks_the_options() -> None:
    answer = yes_no({1: -2000.0, 2: -2001.0}, [1], [2])
    assert answer.p_yes == pytest.approx(1 / (1 + math.exp(-1)))
    assert answer.joint_mass == 0.0


def test_options_without_any_mass_are_equally_likely() -> None:
    assert among({1: -math.inf, 2: -math.inf}, [[1], [2]]) == Scored((0.5, 0.5), 0.0)
    assert among({1: -math.inf, 2: -3.0}, [[1], [2]]).probabilities == (0.0, 1.0)
