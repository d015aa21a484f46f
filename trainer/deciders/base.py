"""The decider protocol: questions about twins in, probabilities with their evidence out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from twin_store.dna.twin import Twin
from twin_store.evidence import Question

YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """One question with the twin it is about. The twin may be newer than the question: deciders rewind it.

    `matched` says that the candidates were drawn as hard negatives, one to one with what was bought, as
    evaluation cases are. Live questions are not: their probabilities are those of the shop floor, where most
    products are not bought.
    """

    question: Question
    twin: Twin
    matched: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer.

    Attributes:
        probabilities: calibrated; one a candidate or basket, or one for YES. Of basket completions and trip
            choices they add up to 1.
        raw_probabilities: what the model said before calibration, same length.
        choice: the sku or basket index (as text) with the greatest probability; `yes` or `no` where there is one.
        evidence: named numbers, one dict a probability; missing ones are left out.
        degraded: why it is less than what this version could say, such as a library that is missing here.
    """

    probabilities: list[float]
    raw_probabilities: list[float]
    choice: str
    evidence: list[dict[str, float]]
    degraded: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer: the question lacks what its kind needs, or the model cannot answer that kind."""

    reason: str


class Decider(Protocol):
    """Answers batches of questions. Pure: the same inputs give the same answers."""

    @property
    def name(self) -> str:
        """The kind of decider, as `Prediction.decider` has it: `evidence`, `vllm` or `openai`."""

    @property
    def version(self) -> str:
        """The immutable version that answers."""

    def decide(self, batch: Sequence[DecisionInput]) -> list[Decision | Refusal]:
        """One answer or refusal an input, in order."""
