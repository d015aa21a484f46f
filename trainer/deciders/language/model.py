"""What the language decider asks of a model, wherever it runs."""

from collections.abc import Sequence
from typing import Protocol

from trainer.deciders.language.readout import Scored, YesNo


class ModelUnavailable(Exception):  # noqa: N818 - it is the model that is away
    """There is no answer now: the model is down, overloaded, or does not answer. It may come back."""


class AdapterMissing(ModelUnavailable):
    """The model does not have this adapter, or not any more; it may answer with others."""


class QuestionRejected(ValueError):  # noqa: N818 - it is the question that is wrong
    """The model will never answer this prompt, such as one that is too long for it."""


class MalformedAnswer(ValueError):  # noqa: N818 - it is the answer that is wrong
    """The model did not keep to the asked form, twice."""


class LanguageModel(Protocol):
    """A model with adapters, on an event loop. `adapter` is a name that it serves, None for the base itself.

    A greater `priority` (0 to 9) goes first where the model can tell them apart. Cancelling a call takes its
    question back. Every call raises `ModelUnavailable` or `QuestionRejected`.
    """

    @property
    def tokens_max(self) -> int:
        """The most tokens of prompt and answer together."""

    def count_tokens(self, text: str) -> int:
        """How many tokens a prompt has; an upper bound where the model's tokenizer is not at hand."""

    async def p_yes(self, prompt: str, adapter: str | None, priority: int) -> YesNo:
        """P(YES) of a prompt whose answer is YES or NO, from the first token's mass."""

    async def options(self, prompt: str, count: int, adapter: str | None, priority: int) -> Scored:
        """The probabilities of the first `count` letters as the answer."""

    async def choice(self, prompt: str, choices: Sequence[str], adapter: str | None, priority: int) -> str:
        """One of these texts, by constrained generation. Raises also `MalformedAnswer`."""

    async def text(self, prompt: str, tokens_max: int, adapter: str | None, priority: int) -> str:
        """Free text."""
