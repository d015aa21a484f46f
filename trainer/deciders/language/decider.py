"""The language decider: a question about a twin becomes prompts, and what the model says becomes a decision."""

import asyncio
import math
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from trainer.deciders.base import Decision, DecisionInput, Refusal, Told, choice_of
from trainer.deciders.language.model import LanguageModel, MalformedAnswer, QuestionRejected
from trainer.deciders.language.options import groups_of, on_one_scale
from trainer.deciders.language.readout import YesNo
from trainer.deciders.language.scenes import SceneMaker
from trainer.deciders.language.served import Router, ServedAdapter, ServedBase, calibrated
from twin_store.evidence import Question, UnanswerableQuestion, named
from twin_store.messages.decisions import QuestionKind, Subject
from twin_store.prompts import Buckets, Prompt, PromptTooLong, Scene, prompt_hash, render, written_answer
from twin_store.prompts import MalformedAnswer as Unreadable

REVIEW_TOKENS = 160  # eighty words, and some for those that are several tokens
LIKELIHOODS = tuple(written_answer("likelihood", percent / 100) for percent in range(101))
# What is left of the model's context for the answer; the others are one token.
_ROOM: dict[QuestionKind, int] = {
    "review": REVIEW_TOKENS,
    "voucher_redemption": max(map(len, LIKELIHOODS)) + 1,
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question as the model will be asked it.

    Attributes:
        groups: of a basket to complete, by prompt, the places of the candidates that it is about.
    """

    question: Question
    segment: str
    served: ServedAdapter | None
    prompts: tuple[Prompt, ...]
    groups: tuple[tuple[int, ...], ...]
    evidence: list[dict[str, float]]

    @property
    def adapter(self) -> str | None:
        """What the model calls the adapter that it goes to; None for the base."""
        return None if self.served is None else self.served.name


@dataclass(frozen=True, slots=True)
class _Said:
    """What the model said to all prompts of a question, before calibration."""

    raw: list[float]
    joint_mass: tuple[float, ...] = ()
    likelihood: float | None = None
    text: str | None = None


class LanguageDecider:
    """Decides by one model. `prepare` is for one thread at a time, `ask` for the model's event loop.

    Attributes:
        malformed: how many answers were not in the asked form, even when asked for again.
    """

    def __init__(
        self,
        name: str,
        version: str,
        model: LanguageModel,
        scenes: SceneMaker,
        router: Router,
        base: ServedBase,
    ) -> None:
        """`version` is that of the base; it and `base` are for segments to which `router` gives no adapter."""
        self.name = name
        self.version = version
        self.malformed = 0
        self._model = model
        self._scenes = scenes
        self._router = router
        self._base = base

    async def answer(self, asked: DecisionInput, priority: int) -> Decision | Refusal:
        """Answer one question.

        Raises:
            ModelUnavailable: there is no answer now.
            QuestionRejected: the question does not fit the model.
            MalformedAnswer: the model did not keep to the asked form.
        """
        prepared = self.prepare(asked)
        return prepared if isinstance(prepared, Refusal) else await self.ask(prepared, priority)

    def prepare(self, asked: DecisionInput) -> Prepared | Refusal:
        """The prompts of a question, or why nobody could answer it. Raises `QuestionRejected`."""
        kind = asked.question.kind
        try:
            segment = self._scenes.segment(asked)
            evidence = self._scenes.evidence(asked)
            scene = self._scenes.scene(asked, segment, evidence)
            served = self._router(segment, asked.customer_id)
            if served is not None and not served.may_answer(kind):
                return Refusal(f"{served.label} was not published for {kind} questions")
            if served is None and not self._base.may_answer(kind):
                return Refusal(f"the base {self.version} was not trained on {kind} questions")
            groups, prompts = self._rendered(scene, (served or self._base).buckets)
        except UnanswerableQuestion as error:
            return Refusal(str(error))
        except PromptTooLong as error:
            raise QuestionRejected(str(error)) from None
        legible = [] if evidence is None else [named(kind, row) for row in evidence]
        return Prepared(asked.question, segment, served, prompts, groups, legible)

    async def ask(self, prepared: Prepared, priority: int) -> Decision:
        """Put the prompts to the model, all at once. Raises as `answer`; cancelling takes them back."""
        said = await self._said(prepared, priority)
        served, kind = prepared.served, prepared.question.kind
        probabilities = calibrated((served or self._base).calibration, kind, said.raw)
        told = Told(
            version=self.version if served is None else served.version,
            segment=prepared.segment,
            adapter=None if served is None else served.label,
            prompt_hash=_hash_of(prepared.prompts),
            joint_mass=said.joint_mass,
            likelihood=said.likelihood,
            text=said.text,
        )
        probabilities = [min(1.0, max(0.0, p)) for p in probabilities]
        choice = choice_of(prepared.question, probabilities)
        return Decision(probabilities, said.raw, choice, prepared.evidence, told=told)

    def _rendered(
        self, scene: Scene, buckets: Buckets
    ) -> tuple[tuple[tuple[int, ...], ...], tuple[Prompt, ...]]:
        """The prompts, and of a basket to complete which candidates each is about."""
        budget = self._model.tokens_max - _ROOM.get(scene.question.kind, 1)
        count = self._model.count_tokens
        if scene.question.kind != "basket_completion":
            return (), tuple(render(scene, buckets, count, budget))
        groups = tuple(groups_of(len(scene.question.subject.candidates)))
        parts = (scene,) if len(groups) == 1 else _parts(scene, groups)
        return groups, tuple(prompt for part in parts for prompt in render(part, buckets, count, budget))

    async def _said(self, prepared: Prepared, priority: int) -> _Said:
        match prepared.question.kind:
            case "voucher_redemption":
                return await self._of_voucher(prepared, priority)
            case "review":
                return await self._review(prepared, priority)
            case "purchase" | "promotion_response":
                answers = await _together(
                    [self._p_yes(prompt, prepared, priority) for prompt in prepared.prompts]
                )
                return _Said([a.p_yes for a in answers], tuple(a.joint_mass for a in answers))
            case _:
                return await self._one_of_several(prepared, priority)

    async def _p_yes(self, prompt: Prompt, prepared: Prepared, priority: int) -> YesNo:
        return await self._model.p_yes(prompt.text, prepared.adapter, priority)

    async def _of_voucher(self, prepared: Prepared, priority: int) -> _Said:
        """P(YES) is the answer; what the model writes when it is asked for a likelihood is kept beside."""
        by_token, in_words = prepared.prompts

        async def likelihood() -> float | None:
            try:
                said = await self._model.choice(in_words.text, LIKELIHOODS, prepared.adapter, priority)
                read = in_words.read(said)
            except (MalformedAnswer, Unreadable):
                self.malformed += 1
                return None
            return float(read) if isinstance(read, int | float) else None

        calls: list[Coroutine[Any, Any, Any]] = [self._p_yes(by_token, prepared, priority), likelihood()]
        yes_no, written = await _together(calls)
        return _Said([yes_no.p_yes], (yes_no.joint_mass,), likelihood=written)

    async def _one_of_several(self, prepared: Prepared, priority: int) -> _Said:
        """Groups of candidates on one scale; the mean over the orders in which baskets were shown."""
        answers = await _together(
            [
                self._model.options(prompt.text, len(prompt.options), prepared.adapter, priority)
                for prompt in prepared.prompts
            ]
        )
        by_place = [
            [p for _, p in sorted(zip(prompt.options, answer.probabilities, strict=True))]
            for prompt, answer in zip(prepared.prompts, answers, strict=True)
        ]
        masses = tuple(answer.joint_mass for answer in answers)
        if prepared.groups:
            return _Said(on_one_scale(prepared.groups, by_place), masses)
        return _Said([math.fsum(each) / len(by_place) for each in zip(*by_place, strict=True)], masses)

    async def _review(self, prepared: Prepared, priority: int) -> _Said:
        (prompt,) = prepared.prompts
        written = await self._model.text(prompt.text, REVIEW_TOKENS, prepared.adapter, priority)
        try:
            return _Said([], text=str(prompt.read(written)))
        except Unreadable as error:
            self.malformed += 1
            raise MalformedAnswer(str(error)) from None


def _parts(scene: Scene, groups: Sequence[Sequence[int]]) -> Iterator[Scene]:
    """The same scene with some of the candidates each time."""
    subject = scene.question.subject
    for places in groups:
        some = [subject.candidates[place] for place in places]
        part = Subject(candidates=some, partial_basket=list(subject.partial_basket))
        evidence = None if scene.evidence is None else scene.evidence[list(places)]
        yield replace(scene, question=replace(scene.question, subject=part), evidence=evidence)


def _hash_of(prompts: Sequence[Prompt]) -> str:
    """That of the only prompt, or of the texts of all, one after the other."""
    return prompt_hash("".join(prompt.text for prompt in prompts))


async def _together(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All answers; where one fails the others are taken back."""
    if len(calls) == 1:
        return [await calls[0]]
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        raise
