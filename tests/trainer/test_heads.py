"""A fitted head keeps answering where LightGBM is missing, calibrated, and says so."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from trainer import boosting
from trainer.calibration import Curve
from trainer.deciders.base import Decision, DecisionInput
from trainer.deciders.evidence import EvidenceDecider
from trainer.evaluation import auc, ece
from trainer.fitted import FLOOR, Fitted
from trainer.heads import NO_LIGHTGBM, Head
from trainer.tasks.table import Table
from twin_store.affinity import Affinity
from twin_store.catalogue import Catalogue
from twin_store.dna.twin import Twin
from twin_store.evidence import EVIDENCE_NAMES, Products, Question
from twin_store.market import Market
from twin_store.messages.decisions import Subject

ROWS = 6_000


def table(rows: int, seed: int) -> Table:
    """Purchases that hang on two of the numbers, one of them not in a straight line."""
    generator = np.random.default_rng(seed)
    evidence = generator.normal(size=(rows, len(EVIDENCE_NAMES["purchase"]))).astype(np.float32)
    odds = 1.5 * evidence[:, 0] + 2.0 * (np.abs(evidence[:, 1]) > 1) - 1.0
    labels = (generator.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    numbers = np.arange(rows)
    return Table("purchase", evidence, labels, np.ones(rows), numbers, numbers, np.zeros(rows, dtype=bool))


@pytest.fixture(scope="module")
def head() -> Head:
    fitted = Head.fit(table(ROWS, 1), table(ROWS, 2), seed=1)
    assert fitted.mix > 0, "the booster is worth having here"
    return fitted


@pytest.fixture
def without_lightgbm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "available", lambda: False)


def test_it_survives_being_stored(head: Head) -> None:
    loaded = Head.from_files("h", head.to_files("h"))
    later = table(500, 3)
    assert loaded.degraded is None
    assert np.array_equal(loaded.scores(later.evidence), head.scores(later.evidence))
    assert loaded.to_files("h") == head.to_files("h")


@pytest.mark.usefixtures("without_lightgbm")
def test_without_lightgbm_the_logistic_model_answers_calibrated(head: Head) -> None:
    loaded = Head.from_files("h", head.to_files("h"))
    assert loaded.degraded == NO_LIGHTGBM
    later = table(ROWS, 3)
    scores = loaded.scores(later.evidence)
    assert np.array_equal(scores, head.logistic.scores(later.evidence))
    probabilities = loaded.probabilities(scores, later.cases)
    assert auc(later.labels, probabilities) > 0.7
    assert ece(later.labels, probabilities) < 0.04
    assert loaded.to_files("h") == head.to_files("h"), "what is handed on still has its booster"


@pytest.mark.usefixtures("without_lightgbm")
def test_its_calibration_is_its_own(head: Head) -> None:
    """Calibrated as the mix it would be off: the two scores are not spread alike."""
    logistic = replace(head, boosted=None, mix=0.0)
    assert logistic.calibration != head.logistic_calibration
    fitted_without = Head.fit(table(ROWS, 1), table(ROWS, 2), seed=1)
    assert fitted_without.calibration == fitted_without.logistic_calibration == head.logistic_calibration
    assert fitted_without.degraded is None, "this is what it was fitted to say"


@pytest.mark.usefixtures("without_lightgbm")
def test_refitting_without_lightgbm_takes_the_calibration_of_what_is_left(head: Head) -> None:
    again = head.refitted(table(ROWS, 4), seed=1)
    assert again.boosted is None
    assert again.mix == 0
    assert again.calibration == head.logistic_calibration


@pytest.mark.parametrize("is_there", [True, False])
def test_the_decision_says_what_it_lacks(head: Head, is_there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_there:
        monkeypatch.setattr(boosting, "available", lambda: False)
    files = Fitted({("purchase", FLOOR): head}, Affinity.empty()).to_files()
    products = Products(Catalogue(), Market(), "USD")
    decider = EvidenceDecider("1", Fitted.from_files(files), products)
    question = Question("purchase", 86_400 * 20_000, Subject(candidates=["a", "b"]))
    decision = decider.decide([DecisionInput(question, Twin())])[0]
    assert isinstance(decision, Decision)
    assert len(decision.probabilities) == 2
    assert decision.degraded == (None if is_there else NO_LIGHTGBM)


def test_a_head_without_a_booster_lacks_nothing(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = dataclasses.replace(head, boosted=None, mix=0.0, calibration=Curve(1.0, 0.0))
    monkeypatch.setattr(boosting, "available", lambda: False)
    assert Head.from_files("h", plain.to_files("h")).degraded is None
