"""Rewards of a single answer: the form, YES and NO, and a probability that is stated.

NO counts twice (LBM), since a model that always says YES is right about half of matched cases. TRL's own default
divides rewards by their spread within a prompt's group, which takes such a weight out again: see `grpo`.
"""

from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import MalformedAnswer, read_answer
from twin_store.prompts.answers import Form

NO_WEIGHT = 2.0


def well_formed(kind: QuestionKind, text: str, form: Form | None = None, options: int = 26) -> float:
    """1 for an answer in the asked form, else 0."""
    try:
        read_answer(kind, text, form=form, options=options)
    except MalformedAnswer:
        return 0.0
    return 1.0


def yes_no(text: str, is_yes: bool, no_weight: float = NO_WEIGHT) -> float:
    """What a right answer is worth: 1 where it is YES, `no_weight` where it is NO; 0 for a wrong one or none."""
    try:
        said = read_answer("purchase", text, form="yes_no")
    except MalformedAnswer:
        return 0.0
    if said is not is_yes:
        return 0.0
    return 1.0 if is_yes else no_weight


def option(kind: QuestionKind, text: str, right: int, options: int) -> float:
    """1 for the letter of the right option, counted from 0, else 0."""
    try:
        return float(read_answer(kind, text, form="option", options=options) == right)
    except MalformedAnswer:
        return 0.0


def stated_likelihood(text: str, is_yes: bool) -> float:
    """One minus the squared error of a stated likelihood: greatest on average for whoever says what she believes.

    Unlike a reward for being right, which is greatest for certainty, this one keeps a model calibrated.
    """
    try:
        said = read_answer("voucher_redemption", text, form="likelihood")
    except MalformedAnswer:
        return 0.0
    return 1.0 - (float(said) - is_yes) ** 2  # type: ignore[arg-type]
