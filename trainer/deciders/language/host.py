"""Where a language model lives, from the side of whoever asks it and has no event loop, such as a consumer of Kafka."""

from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from trainer.deciders.language.model import LanguageModel

T = TypeVar("T")


class ModelHost(Protocol):
    """Keeps a model and brings it back when it is away. To be used from one thread."""

    @property
    def name(self) -> str:
        """The kind of decider, as `Prediction.decider` has it: `vllm` or `openai`."""

    @property
    def version(self) -> str:
        """What answers where there is no adapter."""

    @property
    def model(self) -> LanguageModel | None:
        """The model, None while it is away. After it was away it is another object."""

    @property
    def why_away(self) -> str:
        """In a few words, what is the matter while `model` is None."""

    def submit(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a call of `model`'s on its event loop; cancelling the future takes the question back.

        Raises:
            ModelUnavailable: the model went away; the call is closed.
        """

    def close(self) -> None:
        """Let go of the model."""
