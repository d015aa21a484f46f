"""The evidence decider refuses what numbers do not answer, and answers the rest of the batch."""

import pytest

from streams.settings import Settings
from tests.retail import sale, second, twin_of
from tests.streams.models import publish_model
from trainer.deciders.base import Decision, DecisionInput, Refusal
from trainer.deciders.evidence import EvidenceDecider
from trainer.registry import Registry
from twin_store.catalogue import Catalogue
from twin_store.evidence import Products, Question
from twin_store.market import Market
from twin_store.messages import QuestionKind, Subject


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("survey", Subject(statement="Prices are fair.", scale=["no", "yes"])),
        ("review", Subject(candidates=["milk"])),
    ],
)
def test_surveys_and_reviews_are_refused_with_a_reason(
    offline_settings: Settings, kind: QuestionKind, subject: Subject
) -> None:
    version = publish_model(offline_settings).version
    decider = EvidenceDecider.load(
        Registry(offline_settings.models), version, Products(Catalogue(), Market())
    )
    twin = twin_of([sale(1, ["milk"])])
    purchase = Question("purchase", second(5), Subject(candidates=["milk"]))
    batch = [DecisionInput(Question(kind, second(5), subject), twin), DecisionInput(purchase, twin)]
    refused, answered = decider.decide(batch)
    assert refused == Refusal(f"a {kind} is not answered from numbers: ask a language model")
    assert isinstance(answered, Decision)
    assert kind not in decider.kinds
