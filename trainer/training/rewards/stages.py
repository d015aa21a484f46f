"""LBM's two stages of GRPO as lists of rewards for TRL.

v1 rewards right answers, NO twice, and their form. v4/v5 goes on with what fits the customer: promotion affinity where
a product is promoted, and co-occurrence where a basket is completed. The columns come with the data set
(`grpo.rows_of`).
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from trainer.training.rewards.answers import NO_WEIGHT, option, well_formed, yes_no
from trainer.training.rewards.baskets import co_occurrence
from trainer.training.rewards.taste import promotion_affinity
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import MalformedAnswer, read_answer

Stage = Literal["v1", "v4"]
Reward = Callable[..., list[float]]
FORM_SHARE = 0.2  # of the weight: the form is learnt soon, and then must not drown what is right
TASTE_SHARE = 0.3


def rewards_of(stage: Stage, no_weight: float = NO_WEIGHT) -> tuple[list[Reward], list[float]]:
    """The rewards of a stage and the weight of each."""

    def right(completions: Sequence[Any], kind: Sequence[QuestionKind], right: Sequence[int],
              options: Sequence[int], **_: Any) -> list[float]:  # fmt: skip
        return [
            _right(each, text_of(said), place, count, no_weight)
            for each, said, place, count in zip(kind, completions, right, options, strict=True)
        ]

    def form(completions: Sequence[Any], kind: Sequence[QuestionKind], options: Sequence[int],
             **_: Any) -> list[float]:  # fmt: skip
        return [
            well_formed(each, text_of(said), options=max(1, count))
            for each, said, count in zip(kind, completions, options, strict=True)
        ]

    def taste(
        completions: Sequence[Any],
        kind: Sequence[QuestionKind],
        options: Sequence[int],
        deal_share: Sequence[float | None],
        shared: Sequence[Sequence[float]],
        **_: Any,
    ) -> list[float]:
        found = zip(kind, completions, options, deal_share, shared, strict=True)
        return [_fits(each, text_of(said), count, deal, of) for each, said, count, deal, of in found]

    if stage == "v1":
        return [right, form], [1.0, FORM_SHARE]
    return [right, form, taste], [1.0, FORM_SHARE, TASTE_SHARE]


def text_of(completion: Any) -> str:
    """A completion as text: TRL gives chat messages for prompts that are chat messages."""
    return completion if isinstance(completion, str) else str(completion[0]["content"])


def _right(kind: QuestionKind, text: str, place: int, options: int, no_weight: float) -> float:
    if options:
        return option(kind, text, place, options)
    return yes_no(text, place == 0, no_weight)  # YES is the first of the two answers


def _fits(
    kind: QuestionKind, text: str, options: int, deal_share: float | None, shared: Sequence[float]
) -> float:
    try:
        said = read_answer(kind, text, options=max(1, options))
    except MalformedAnswer:
        return 0.0
    if kind == "promotion_response":
        return promotion_affinity(bool(said), deal_share)
    if kind == "basket_completion" and isinstance(said, int):
        return co_occurrence(said, shared)
    return 0.0
