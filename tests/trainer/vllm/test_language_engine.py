"""The language decider over the real engine: its answers are those of `transformers` on the rendered prompts."""

from __future__ import annotations

from typing import get_args

import pytest

from tests.trainer.vllm.reference import Reference
from tests.twin_store.prompts.scenes import SUBJECTS
from trainer.deciders.base import Decision, DecisionInput
from trainer.deciders.language.decider import LanguageDecider
from trainer.deciders.language.scenes import SceneMaker
from trainer.deciders.language.served import ServedBase
from trainer.deciders.vllm.model import VllmModel
from trainer.deciders.vllm.thread import EngineThread
from trainer.deciders.vllm.tokens import ModelTokens
from twin_store.affinity import Affinity
from twin_store.catalogue import Catalogue
from twin_store.dna.profile import ProductNames
from twin_store.dna.twin import Twin
from twin_store.evidence import EvidenceReader, Products, Question
from twin_store.market import Market
from twin_store.messages.decisions import QuestionKind, Subject
from twin_store.prompts import Prompt
from twin_store.segments import load_definitions

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
KINDS = [
    kind for kind in get_args(QuestionKind) if kind != "review"
]  # a random base may write no text at all


@pytest.fixture(scope="module")
def decider(engine: EngineThread) -> LanguageDecider:
    products = Products(Catalogue(), Market())
    reader = EvidenceReader(products, Affinity.empty())
    scenes = SceneMaker(products, load_definitions(), lambda: reader, ProductNames.none)
    model = VllmModel(engine.engine)
    return LanguageDecider("vllm", "shop", model, scenes, lambda _segment, _customer: None, ServedBase())


def asked(kind: QuestionKind) -> DecisionInput:
    question = Question(kind, 1_493_717_400, Subject.model_validate(SUBJECTS[kind]))
    return DecisionInput(question, Twin(), customer_id="c1")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_answered_as_transformers_would(
    decider: LanguageDecider,
    engine: EngineThread,
    reference: Reference,
    tokens: ModelTokens,
    kind: QuestionKind,
) -> None:
    decision = engine.run(decider.answer(asked(kind), 5))
    assert isinstance(decision, Decision)
    assert decision.told is not None
    prepared = decider.prepare(asked(kind))
    prompts: tuple[Prompt, ...] = prepared.prompts  # type: ignore[union-attr]
    if kind == "voucher_redemption":
        prompts = prompts[:1]
        assert decision.told.likelihood is not None
        assert 0 <= decision.told.likelihood <= 1
    ids = [tokens.encode(prompt.text) for prompt in prompts]
    if prompts[0].form == "yes_no":
        truth = [each.p_yes for each in reference.yes_no(ids)]
    else:
        said = reference.options(ids, len(prompts[0].options))
        placed = [
            [p for _, p in sorted(zip(prompt.options, each.probabilities, strict=True))]
            for prompt, each in zip(prompts, said, strict=True)
        ]
        truth = [sum(of_place) / len(placed) for of_place in zip(*placed, strict=True)]
    assert decision.raw_probabilities == pytest.approx(truth, abs=0.02)
    assert len(decision.told.joint_mass) == len(prompts)
