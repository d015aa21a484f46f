"""Prompts whose answers are known beforehand and travel with an adapter.

vLLM ignores weights whose names it does not know and then answers as the base. So an adapter is only believed to be
at work when it says what its trainer heard it say, and when that is not what the base says.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

FILE = "canaries.json"
TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class Canary:
    """A prompt as token ids, and P(YES) under the adapter."""

    prompt_ids: tuple[int, ...]
    p_yes: float


@dataclass(frozen=True, slots=True)
class Canaries:
    """At least one prompt, and how far an answer may be off."""

    prompts: tuple[Canary, ...]
    tolerance: float = TOLERANCE

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """As `to_json` wrote them.

        Raises:
            ValueError: they are not, there are none, or they do not fit together.
        """
        try:
            read = json.loads(content)
            prompts = tuple(
                Canary(tuple(int(token) for token in each["prompt_ids"]), float(each["p_yes"]))
                for each in read["prompts"]
            )
            tolerance = float(read["tolerance"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not canary prompts: {type(error).__name__}: {error}") from None
        if not prompts or not all(each.prompt_ids and 0 <= each.p_yes <= 1 for each in prompts):
            raise ValueError("canary prompts need at least one prompt, each with tokens and a probability")
        if not 0 < tolerance < 0.5:
            raise ValueError(f"a tolerance of {tolerance} tells nothing apart")
        return cls(prompts, tolerance)

    def to_json(self) -> bytes:
        """For `FILE` in the adapter's folder."""
        return json.dumps(asdict(self)).encode()

    def contradicted(self, answers: Sequence[float]) -> str | None:
        """What is wrong with these answers of the adapter, in order; None if they are as expected."""
        for number, (canary, answer) in enumerate(zip(self.prompts, answers, strict=True)):
            if not abs(canary.p_yes - answer) <= self.tolerance:
                return f"canary {number} should give {canary.p_yes:.4f} and gives {answer:.4f}"
        return None

    def blind(self, base_answers: Sequence[float]) -> bool:
        """Whether the base's answers, in order, would pass for the adapter's."""
        return self.contradicted(base_answers) is None
