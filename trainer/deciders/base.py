"""The decider protocol: questions about twins in, probabilities with their evidence out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

    Who asks a language model also says whose twin it is, since customers of a segment may be shared out between
    adapters, and what the keys in it stand for, since a prompt names them.
    """

    question: Question
    twin: Twin
    matched: bool = False
    customer_id: str = ""
    symbols: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What only the answer of a language model has.

    Attributes:
        version: what answered: the adapter's version, the base's where there was none.
        segment: of the twin at the moment of the question.
        adapter: its name and version, None for the base.
        prompt_hash: of the prompt, or of all prompts of the question in their order.
        joint_mass: by prompt that is answered with one token, what all its answers together have of the probability.
            Where it is small the model was about to say something else.
        likelihood: what the model wrote when it was asked for a likelihood in words, 0 to 1; only of vouchers.
        text: what it wrote in her place, with a mark that says so; only of reviews.
    """

    version: str
    segment: str
    adapter: str | None
    prompt_hash: str
    joint_mass: tuple[float, ...] = ()
    likelihood: float | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer.

    Attributes:
        probabilities: calibrated; one a candidate or basket, or one for YES. Of basket completions and trip
            choices they add up to 1.
        raw_probabilities: what the model said before calibration, same length.
        choice: the sku, basket index (as text) or step of the scale with the greatest probability; `yes` or `no` where
            there is one; None where nothing is chosen.
        evidence: named numbers, one dict a probability; missing ones are left out.
        degraded: why it is less than what this version could say, such as a library that is missing here.
        intervals: 95 % of each probability, (low, high); empty where the decider gives none.
        abstains: why it would rather not answer, though it says what it can: there is too little evidence on her.
        told: what a language model's answer has besides.
    """

    probabilities: list[float]
    raw_probabilities: list[float]
    choice: str | None
    evidence: list[dict[str, float]]
    degraded: str | None = None
    told: Told | None = None
    intervals: list[tuple[float, float]] = field(default_factory=list)
    abstains: str | None = None


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


def choice_of(question: Question, probabilities: Sequence[float]) -> str | None:
    """What `Decision.choice` is for these probabilities."""
    if not probabilities:
        return None
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    if question.kind == "trip_choice":
        return str(best)
    if question.kind == "survey":
        return question.subject.scale[best]
    if question.kind == "basket_completion" or len(probabilities) > 1:
        return question.subject.candidates[best]
    return YES if probabilities[0] >= 0.5 else NO
