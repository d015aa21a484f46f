"""From the first token's log probabilities to what was asked. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class YesNo:
    """An answer to a yes-or-no question.

    Attributes:
        p_yes: P(YES) among YES and NO, before any calibration.
        joint_mass: what YES and NO have of all the probability. Where it is small the model was about to say
            something else, and `p_yes` means little.
    """

    p_yes: float
    joint_mass: float


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer that is one of n options: their probabilities among themselves, and what they have of all."""

    probabilities: tuple[float, ...]
    joint_mass: float


def yes_no(logprobs: Mapping[int, float], yes: Iterable[int], no: Iterable[int]) -> YesNo:
    """P(YES) from natural logarithms by token id; YES and NO may each have several spellings."""
    scored = among(logprobs, [tuple(yes), tuple(no)])
    return YesNo(scored.probabilities[0], scored.joint_mass)


def among(logprobs: Mapping[int, float], options: Sequence[Sequence[int]]) -> Scored:
    """The probabilities of options that are one token each, in any of their spellings.

    Computed by logarithms: the model may be so sure of something else that the options' masses underflow.
    """
    masses = [_log_sum([logprobs[token] for token in spellings]) for spellings in options]
    joint = _log_sum(masses)
    if joint == -math.inf:
        return Scored((1 / len(masses),) * len(masses), 0.0)
    return Scored(tuple(math.exp(mass - joint) for mass in masses), min(1.0, math.exp(joint)))


def _log_sum(logarithms: Sequence[float]) -> float:
    largest = max(logarithms)
    if largest == -math.inf:
        return largest
    return largest + math.log(sum(math.exp(each - largest) for each in logarithms))
