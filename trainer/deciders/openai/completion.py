"""What a server answers, checked: everything that comes from it may be wrong."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from trainer.deciders.language.model import ModelUnavailable

# Rounding may carry the logarithm of a probability a little above 0.
LogProbability = Annotated[float, Field(allow_inf_nan=False, le=0.01)]
Count = Annotated[int, Field(ge=0)]
Shape = TypeVar("Shape", bound=BaseModel)


class _Logprobs(BaseModel):
    top_logprobs: list[dict[str, LogProbability] | None]


class _Choice(BaseModel):
    text: str
    logprobs: _Logprobs | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


class _Tokens(BaseModel):
    tokens: list[Count]


def read_text(answer: Any) -> str:
    """The text of a completion. Raises `ModelUnavailable` if it is none."""
    return _read(_Completion, answer).choices[0].text


def read_first_token(answer: Any) -> dict[str, float]:
    """Natural logarithms of probabilities by token, of the completion's first token: as many as the server lists.

    Raises:
        ModelUnavailable: there are none.
    """
    said = _read(_Completion, answer).choices[0].logprobs
    if said is None or not said.top_logprobs or not said.top_logprobs[0]:
        raise ModelUnavailable(
            "the answer has no log probabilities; this server cannot be used for decisions"
        )
    return {token: min(0.0, logprob) for token, logprob in said.top_logprobs[0].items()}


def read_tokens(answer: Any) -> list[int]:
    """The ids of a text. Raises `ModelUnavailable` if there are none."""
    return _read(_Tokens, answer).tokens


def _read(shape: type[Shape], answer: Any) -> Shape:
    try:
        return shape.model_validate(answer)
    except ValidationError as error:
        # Where, and never what: the answer may hold what was asked.
        place = ".".join(
            str(part) for part in error.errors()[0]["loc"][:4] if not str(part).startswith("token")
        )
        raise ModelUnavailable(
            f"the answer has not the form of a completion, at {place or 'its root'}"
        ) from None
