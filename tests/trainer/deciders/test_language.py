"""The language decider over a scripted model: what is asked of it, and what its answers become."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from tests.retail import sale, second, twin_of
from tests.streams.scripted_model import TEXT, ScriptedHost, ScriptedModel, said
from trainer.calibration import Curve, Temperature
from trainer.deciders.base import Decision, DecisionInput, Refusal
from trainer.deciders.language.decider import LIKELIHOODS, LanguageDecider
from trainer.deciders.language.model import MalformedAnswer, ModelUnavailable, QuestionRejected
from trainer.deciders.language.scenes import SceneMaker
from trainer.deciders.language.served import Router, ServedAdapter, ServedBase
from twin_store.affinity import Affinity
from twin_store.catalogue import Catalogue
from twin_store.dna.profile import ProductNames
from twin_store.dna.twin import Twin
from twin_store.evidence import EVIDENCE_NAMES, EvidenceReader, Products, Question
from twin_store.market import Market
from twin_store.messages import CatalogItem
from twin_store.messages.decisions import QuestionKind, Subject
from twin_store.prompts import Buckets, Prompt, prompt_hash
from twin_store.prompts.answers import GENERATED_MARK
from twin_store.segments import load_definitions
from twin_store.symbols import key_of, visit_name

UNTRAINED = ServedBase()
WEEKS = 30
SKUS = ("milk", "bread", "wine")
SYMBOLS = {key_of(text): text for text in (*SKUS, visit_name("store", "s1"))}


@pytest.fixture(scope="module")
def twin() -> Twin:
    """Milk every week, bread every other."""
    return twin_of(sale(7 * week, ["milk", "bread"][: 1 + week % 2]) for week in range(WEEKS))


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def host(model: ScriptedModel) -> Iterator[ScriptedHost]:
    found = ScriptedHost(model)
    yield found
    found.close()


def decider(
    model: ScriptedModel, router: Router = lambda _segment, _customer: None, base: ServedBase = UNTRAINED
) -> LanguageDecider:
    catalogue = Catalogue()
    catalogue.put(CatalogItem(sku=sku, updated_at="2024-01-01T00:00:00Z", name=sku.upper()) for sku in SKUS)
    products = Products(catalogue, Market())
    reader = EvidenceReader(products, Affinity.empty())
    scenes = SceneMaker(products, load_definitions(), lambda: reader, ProductNames.none)
    return LanguageDecider("vllm", "base-1", model, scenes, router, base)


def question(twin: Twin, kind: QuestionKind, day: float = 7 * WEEKS, **subject: object) -> DecisionInput:
    asked = Question(kind, second(day), Subject.model_validate(subject))
    return DecisionInput(asked, twin, customer_id="c1", symbols=SYMBOLS)


def answer(host: ScriptedHost, by: LanguageDecider, asked: DecisionInput) -> Decision:
    found = host.run(by.answer(asked, 7))
    assert isinstance(found, Decision)
    return found


def prompts_of(by: LanguageDecider, asked: DecisionInput) -> tuple[Prompt, ...]:
    prepared = by.prepare(asked)
    assert not isinstance(prepared, Refusal)
    return prepared.prompts


def test_each_candidate_is_a_prompt_and_all_are_asked_at_once(
    twin: Twin, model: ScriptedModel, host: ScriptedHost
) -> None:
    by, asked = decider(model), question(twin, "purchase", candidates=[*SKUS, "unheard-of"])
    decision = answer(host, by, asked)
    prompts = prompts_of(by, asked)
    assert [prompt for prompt, _, _ in model.asked] == [prompt.text for prompt in prompts]
    assert {(adapter, priority) for _, adapter, priority in model.asked} == {(None, 7)}
    assert decision.raw_probabilities == [said(prompt.text, None).random() for prompt in prompts]
    assert decision.probabilities == decision.raw_probabilities
    assert decision.choice in (*SKUS, "unheard-of")
    assert [set(row) <= set(EVIDENCE_NAMES["purchase"]) for row in decision.evidence] == [True] * 4
    told = decision.told
    assert told is not None
    assert (told.version, told.adapter, told.segment) == ("base-1", None, "regulars")
    assert told.prompt_hash == prompt_hash("".join(prompt.text for prompt in prompts))
    assert len(told.joint_mass) == 4
    assert '"MILK"' in prompts[0].text
    assert "30 receipts" in prompts[0].text


def test_what_is_asked_is_of_its_moment(twin: Twin, model: ScriptedModel) -> None:
    """What she did later is in no prompt: it is the one of a twin that knows only what was before."""
    by = decider(model)
    before = twin_of(sale(7 * week, ["milk", "bread"][: 1 + week % 2]) for week in range(20))
    of_the_newer = prompts_of(by, question(twin, "purchase", day=7 * 19 + 1, candidates=["milk"]))
    of_the_older = prompts_of(by, question(before, "purchase", day=7 * 19 + 1, candidates=["milk"]))
    assert of_the_newer == of_the_older


def test_trips_are_asked_both_ways_round_and_averaged(
    twin: Twin, model: ScriptedModel, host: ScriptedHost
) -> None:
    by, asked = decider(model), question(twin, "trip_choice", baskets=[["milk"], ["wine"], ["bread"]])
    decision = answer(host, by, asked)
    forth, back = [
        [0.1 + dice.random() for _ in range(3)]
        for dice in (said(prompt.text, None) for prompt in prompts_of(by, asked))
    ]
    forth, back = [w / sum(forth) for w in forth], [w / sum(back) for w in back][::-1]
    assert decision.raw_probabilities == pytest.approx(
        [(a + b) / 2 for a, b in zip(forth, back, strict=True)]
    )
    assert decision.choice == str(int(np.argmax(decision.raw_probabilities)))


def test_a_voucher_keeps_the_likelihood_in_words_beside(
    twin: Twin, model: ScriptedModel, host: ScriptedHost
) -> None:
    by, asked = decider(model), question(twin, "voucher_redemption", voucher_skus=["milk"])
    decision = answer(host, by, asked)
    by_token, in_words = prompts_of(by, asked)
    assert decision.raw_probabilities == [said(by_token.text, None).random()]
    written = said(in_words.text, None).choice(LIKELIHOODS)
    assert decision.told is not None
    assert f"Likelihood: {round(100 * (decision.told.likelihood or 0))}" == written
    model.malformed = True
    decision = answer(host, by, asked)
    assert decision.told is not None
    assert (decision.told.likelihood, by.malformed) == (None, 1)


def test_a_survey_is_one_step_of_its_scale(twin: Twin, model: ScriptedModel, host: ScriptedHost) -> None:
    scale = ["no", "so so", "yes"]
    decision = answer(host, decider(model), question(twin, "survey", statement="Fair prices.", scale=scale))
    assert sum(decision.probabilities) == pytest.approx(1)
    assert decision.choice == scale[int(np.argmax(decision.probabilities))]
    assert decision.evidence == []


def test_a_review_is_marked_as_generated(twin: Twin, model: ScriptedModel, host: ScriptedHost) -> None:
    by, asked = decider(model), question(twin, "review", candidates=["milk"])
    decision = answer(host, by, asked)
    assert decision.told is not None
    assert decision.told.text == f"{GENERATED_MARK} {TEXT}"
    assert (decision.probabilities, decision.choice) == ([], None)
    model.malformed = True
    with pytest.raises(MalformedAnswer):
        host.run(by.answer(asked, 5))
    assert by.malformed == 1


def test_more_candidates_than_letters_are_asked_in_groups(
    twin: Twin, model: ScriptedModel, host: ScriptedHost
) -> None:
    candidates = [*SKUS, *(f"sku-{number}" for number in range(60))]
    by = decider(model)
    asked = question(twin, "basket_completion", candidates=candidates, partial_basket=["milk"])
    decision = answer(host, by, asked)
    prompts = prompts_of(by, asked)
    assert len(prompts) == 3
    assert all('"MILK"' in prompt.text for prompt in prompts), "the anchor"
    assert len(decision.probabilities) == len(decision.evidence) == 63
    assert sum(decision.probabilities) == pytest.approx(1)


def test_an_adapter_brings_its_calibration_and_its_buckets(
    twin: Twin, model: ScriptedModel, host: ScriptedHost
) -> None:
    model.adapters.add("vllm/regulars/v1")
    buckets = Buckets({"item": {"item_days": (1.0, 7.0)}})
    fitted: dict[QuestionKind, Curve | Temperature] = {
        "purchase": Curve(1.0, -1.0),
        "survey": Temperature(3.0),
    }
    served = ServedAdapter("regulars", "vllm/regulars/v1", "v1", fitted, buckets)
    routed: list[tuple[str, str]] = []

    def router(segment: str, customer_id: str) -> ServedAdapter | None:
        routed.append((segment, customer_id))
        return served

    by, asked = decider(model, router), question(twin, "purchase", candidates=["milk", "wine"])
    decision = answer(host, by, asked)
    assert routed == [("regulars", "c1")]
    odds = [p / (1 - p) for p in decision.raw_probabilities]
    assert decision.probabilities == pytest.approx([o / (o + np.e) for o in odds])
    assert decision.told is not None
    assert (decision.told.adapter, decision.told.version) == ("vllm/regulars/v1@v1", "v1")
    assert "7 or more" in prompts_of(by, asked)[0].text
    assert "7 or more" not in prompts_of(decider(model), asked)[0].text
    decision = answer(host, by, question(twin, "survey", statement="Fair.", scale=["no", "yes"]))
    powers = [p**3 for p in decision.raw_probabilities]
    assert decision.probabilities == pytest.approx([power / sum(powers) for power in powers])


def test_an_adapter_answers_what_it_was_published_for(
    twin: Twin, model: ScriptedModel, host: ScriptedHost
) -> None:
    """And what only words can answer, which nobody else could."""
    model.adapters.add("vllm/regulars/v1")
    served = ServedAdapter("regulars", "vllm/regulars/v1", "v1", kinds=frozenset({"purchase"}))
    by = decider(model, lambda _segment, _customer: served)
    assert isinstance(answer(host, by, question(twin, "purchase", candidates=["milk"])), Decision)
    survey = question(twin, "survey", statement="Fair.", scale=["no", "yes"])
    assert isinstance(answer(host, by, survey), Decision)
    refused = by.prepare(question(twin, "trip_choice", baskets=[["milk"], ["wine"]]))
    assert refused == Refusal("vllm/regulars/v1@v1 was not published for trip_choice questions")


def test_a_base_that_was_trained_here_answers_what_it_learnt_and_is_calibrated(
    twin: Twin, model: ScriptedModel, host: ScriptedHost
) -> None:
    buckets = Buckets({"item": {"item_days": (1.0, 7.0)}})
    by = decider(model, base=ServedBase({"purchase": Curve(1.0, -1.0)}, buckets))
    asked = question(twin, "purchase", candidates=["milk", "wine"])
    decision = answer(host, by, asked)
    odds = [p / (1 - p) for p in decision.raw_probabilities]
    assert decision.probabilities == pytest.approx([o / (o + np.e) for o in odds])
    assert "7 or more" in prompts_of(by, asked)[0].text
    refused = by.prepare(question(twin, "trip_choice", baskets=[["milk"], ["wine"]]))
    assert refused == Refusal("the base base-1 was not trained on trip_choice questions")
    survey = question(twin, "survey", statement="Fair.", scale=["no", "yes"])
    assert isinstance(answer(host, by, survey), Decision)


def test_what_is_wrong_with_a_question_is_told(twin: Twin, model: ScriptedModel, host: ScriptedHost) -> None:
    by = decider(model)
    refusal = host.run(by.answer(question(twin, "purchase"), 5))
    assert refusal == Refusal("subject.candidates is empty; name the products to ask about")
    model.tokens_max = 100
    with pytest.raises(QuestionRejected, match="shorten it"):
        host.run(by.answer(question(twin, "purchase", candidates=["milk"]), 5))
    assert model.asked == []


def test_a_long_history_loses_lines_and_not_the_answer(
    twin: Twin, model: ScriptedModel, host: ScriptedHost
) -> None:
    model.tokens_max = 350
    by, asked = decider(model), question(twin, "purchase", candidates=["milk"])
    (prompt,) = prompts_of(by, asked)
    assert prompt.dropped
    assert model.count_tokens(prompt.text) < model.tokens_max
    assert answer(host, by, asked).choice in ("yes", "no")


def test_a_customer_without_a_twin_is_a_newcomer(model: ScriptedModel, host: ScriptedHost) -> None:
    decision = answer(host, decider(model), question(Twin(), "purchase", candidates=["milk"]))
    assert decision.told is not None
    assert decision.told.segment == "newcomers"


def test_a_question_that_fails_in_part_or_is_cancelled_is_taken_back_whole(
    twin: Twin, model: ScriptedModel, host: ScriptedHost
) -> None:
    model.delay_s = (3_600, 3_600)
    by, asked = decider(model), question(twin, "purchase", candidates=list(SKUS))

    async def cancelled() -> None:
        task = asyncio.ensure_future(by.answer(asked, 5))
        while len(model.asked) < len(SKUS):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    host.run(cancelled())
    assert model.taken_back == 3
    prompts = [prompt.text for prompt in prompts_of(by, asked)]

    class Failing(ScriptedModel):
        async def _think(self, prompt: str, adapter: str | None, priority: int):  # type: ignore[no-untyped-def]
            if prompt == prompts[-1]:
                raise ModelUnavailable("it has died")
            return await super()._think(prompt, adapter, priority)

    failing = Failing((3_600, 3_600))

    async def failed() -> None:
        with pytest.raises(ModelUnavailable):
            await decider(failing).answer(asked, 5)
        await asyncio.sleep(0)

    host.run(failed())
    assert failing.taken_back == 2
