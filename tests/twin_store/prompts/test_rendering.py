"""The one renderer: golden bytes, parts in their order, stable beginnings, options and their way back."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from tests.twin_store.prompts.golden import FOLDER, golden_prompts
from tests.twin_store.prompts.scenes import (
    DAY,
    NAMES,
    SUBJECTS,
    buckets,
    evidence_of,
    profile,
    scene,
    with_segment,
)
from twin_store.evidence import EVIDENCE_NAMES, UnanswerableQuestion
from twin_store.messages import Profile, QuestionKind
from twin_store.messages.codec import decode
from twin_store.messages.wire import struct_for
from twin_store.prompts import (
    Buckets,
    MalformedAnswer,
    Scene,
    as_text,
    prompt_hash,
    render,
    training_example,
    with_answer,
)
from twin_store.prompts.evidence import COMPLETION_NUMBERS

KINDS: tuple[QuestionKind, ...] = get_args(QuestionKind)
NUMBERS = len(EVIDENCE_NAMES["purchase"])
BUCKETS = buckets()
each_kind = pytest.mark.parametrize("kind", KINDS)


# Bytes


def test_the_golden_prompts_are_what_is_rendered() -> None:
    found = golden_prompts()
    assert {path.name for path in FOLDER.glob("*.txt")} == set(found)
    for name, text in found.items():
        assert (FOLDER / name).read_bytes() == text, f"{name} differs; see the docstring of golden.py"


@each_kind
def test_the_same_scene_gives_the_same_bytes_and_hash(kind: QuestionKind) -> None:
    for one, other in zip(render(scene(kind), BUCKETS), render(scene(kind), buckets()), strict=True):
        assert one == other
        assert one.hash == other.hash == prompt_hash(one.text)
        assert one.text == as_text(one.messages)


@each_kind
def test_the_fast_twin_of_the_profile_reads_the_same(kind: QuestionKind) -> None:
    import msgspec

    raw = msgspec.json.encode(profile())
    slow = decode(Profile, raw).dna
    fast: Any = msgspec.json.decode(raw, type=struct_for(Profile)).dna
    one, other = (render(replace(scene(kind), dna=dna), BUCKETS) for dna in (slow, fast))
    assert one == other


def test_the_order_in_which_things_are_listed_says_nothing() -> None:
    body = SUBJECTS["trip_choice"]
    turned = {"baskets": [[*reversed(basket), basket[0]] for basket in body["baskets"]]}
    assert render(scene("trip_choice", turned), BUCKETS) == render(scene("trip_choice"), BUCKETS)
    base = scene("purchase")
    environment = base.question.environment
    products = list(environment.products)
    random.Random(1).shuffle(products)
    question = replace(base.question, environment=environment.model_copy(update={"products": products}))
    assert render(replace(base, question=question), BUCKETS) == render(base, BUCKETS)


# Parts


def test_parts_stand_in_their_order() -> None:
    text = render(scene("basket_completion"), BUCKETS)[0].text
    titles = [
        "You are",
        "Segment",
        "Shopping-DNA",
        "Environment",
        "Evidence",
        "Evidence on A",
        "Evidence on C",
    ]
    places = [text.index(f"\n{title}") for title in [*titles, "Question"]]
    assert places == sorted(places)


def test_system_and_segment_are_the_same_for_all_questions_to_a_segment() -> None:
    first = {prompt.messages[0] for kind in KINDS for prompt in render(scene(kind), BUCKETS)}
    assert len(first) == 1
    assert "regulars. Comes every week" in first.pop().content
    (other, *_) = render(with_segment(scene("survey"), "newcomers"), BUCKETS)
    assert "\n\nSegment\nnewcomers. New here" in other.messages[0].content


def test_the_dna_is_the_same_for_all_questions_about_a_customer_at_a_moment() -> None:
    contents = [p.messages[1].content for kind in KINDS for p in render(scene(kind), BUCKETS)]
    assert len({content[: content.index("\n\nEnvironment")] for content in contents}) == 1


def test_three_products_are_retrieved_the_nearest_first() -> None:
    lines = render(scene("purchase"), BUCKETS)[0].text.splitlines()
    assert [line for line in lines if line.startswith("similar")] == [
        'similar product: "SKIM MILK", 0.88 alike',
        'similar product: "WHOLE MILK", 0.88 alike',
        'similar product: "CHEDDAR", 0.50 alike',
    ]


def test_only_what_is_asked_about_is_said_of_the_shelves() -> None:
    first, second = render(scene("purchase"), BUCKETS)
    assert "shelf: price 3.29, on display, not in the mailer" in first.text
    assert "shelf: price 2.50, not on display, in the mailer" in second.text
    forward, back = render(scene("trip_choice"), BUCKETS)
    assert "shelf, A: 1 of 2 items on display, 0 in the mailer" in forward.text
    assert "shelf, B: 1 of 2 items on display, 0 in the mailer" in back.text
    bare = render(scene("purchase", environment={"products": []}), BUCKETS)[0].text
    assert "shelf" not in bare
    assert "\nstore:" not in bare


MAY_DAY = 1_493_596_800  # Monday 2017-05-01


@pytest.mark.parametrize(
    ("second", "moment"),
    [
        (MAY_DAY, "Monday night"),
        (MAY_DAY - 1, "Sunday evening"),
        (MAY_DAY + 6 * 3_600, "Monday morning"),
        (MAY_DAY + 5 * DAY + 45_000, "Saturday afternoon"),
    ],
)
def test_the_moment_is_told_by_weekday_and_part_of_day(second: int, moment: str) -> None:
    base = scene("purchase")
    then = replace(base, question=replace(base.question, as_of=second))
    assert f"moment: {moment}, UTC" in render(then, BUCKETS)[0].text


def test_numbers_of_one_option_stand_under_its_letter() -> None:
    forward, back = render(scene("trip_choice"), BUCKETS)
    on = {
        (prompt.options, letter): prompt.text.split(f"Evidence on {letter}\n")[1].split("\n\n")[0]
        for prompt in (forward, back)
        for letter in "AB"
    }
    assert on[(0, 1), "A"] == on[(1, 0), "B"]
    assert on[(0, 1), "B"] == on[(1, 0), "A"]
    assert on[(0, 1), "A"] != on[(0, 1), "B"]


def test_each_candidate_is_told_by_its_own_row() -> None:
    first, second = render(scene("purchase"), BUCKETS)
    evidence = evidence_of("purchase", 2)
    assert evidence is not None
    (alone,) = render(replace(scene("purchase", {"candidates": ["995242"]}), evidence=evidence[1:]), BUCKETS)
    assert (first.about, second.about, alone.about) == (0, 1, 0)
    assert second.messages == alone.messages != first.messages


def test_of_many_products_only_the_most_telling_numbers_are_said() -> None:
    few = dict(list(BUCKETS.edges["item"].items())[3:])
    for found in (BUCKETS, Buckets({"item": few})):
        text = render(scene("basket_completion"), found)[0].text
        for letter in "ABC":
            lines = text.split(f"Evidence on {letter}\n")[1].split("\n\n")[0].splitlines()
            assert len(lines) == COMPLETION_NUMBERS


def test_without_evidence_or_edges_there_are_no_such_lines() -> None:
    text = render(replace(scene("purchase"), evidence=None), BUCKETS)[0].text
    assert "\nEvidence" not in text
    lines = (
        render(scene("purchase"), Buckets({}))[0].text.split("\nEvidence\n")[1].split("\n\n")[0].splitlines()
    )
    assert {line.split(": ")[1] for line in lines} <= {"yes", "no", "unknown"}


@pytest.mark.parametrize("shape", [(1, NUMBERS), (2, 30), (NUMBERS,), (0, NUMBERS)])
def test_evidence_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"evidence on purchase is \[n, {NUMBERS}\], a row an option"):
        render(replace(scene("purchase"), evidence=np.zeros(shape)), BUCKETS)


# Questions and their answers


@pytest.mark.parametrize(
    ("kind", "forms"),
    [
        ("purchase", ["yes_no", "yes_no"]),
        ("promotion_response", ["yes_no"]),
        ("voucher_redemption", ["yes_no", "likelihood"]),
        ("basket_completion", ["option"]),
        ("trip_choice", ["option", "option"]),
        ("survey", ["option"]),
        ("review", ["text"]),
    ],
)
def test_each_kind_has_its_forms(kind: QuestionKind, forms: list[str]) -> None:
    assert [prompt.form for prompt in render(scene(kind), BUCKETS)] == forms


def test_the_two_forms_of_a_voucher_differ_in_the_last_line_only() -> None:
    first, second = (
        prompt.messages[1].content.splitlines() for prompt in render(scene("voucher_redemption"), BUCKETS)
    )
    assert first[:-1] == second[:-1]
    assert first[-1] != second[-1]


def test_a_choice_is_asked_both_ways_round_and_read_back_to_the_same_basket() -> None:
    for baskets in ([["a"], ["b"]], [["a"], ["b"], ["c"]]):
        told = scene("trip_choice", {"baskets": baskets})
        forward, back = render(told, BUCKETS)
        assert back.options == forward.options[::-1]
        for place in range(len(baskets)):
            letters = [training_example(prompt, place)[1] for prompt in (forward, back)]
            assert [ord(a) - ord("A") for a in letters] == [place, len(baskets) - 1 - place]
            assert [p.read(letter) for p, letter in zip((forward, back), letters, strict=True)] == [
                place,
                place,
            ]
            for prompt, letter in zip((forward, back), letters, strict=True):
                assert f'{letter}. 1 items, "{baskets[place][0]}"' in prompt.text
        with pytest.raises(MalformedAnswer):
            forward.read("ABCD"[len(baskets)])


def test_options_have_letters_in_the_order_of_the_subject() -> None:
    completion = render(scene("basket_completion"), BUCKETS)[0]
    assert [completion.read(letter) for letter in "ABC"] == [0, 1, 2]
    survey = render(scene("survey"), BUCKETS)[0]
    assert survey.read("E") == 4
    assert survey.text.index('A. "strongly disagree"') < survey.text.index('E. "strongly agree"')


TRUTHS: dict[QuestionKind, list[Any]] = {
    "purchase": [1, 0],
    "promotion_response": [True],
    "voucher_redemption": [0, 0.25],
    "basket_completion": [2],
    "trip_choice": [1, 1],
    "survey": [3],
    "review": ["Good milk."],
}


@each_kind
def test_training_reads_what_serving_sends(kind: QuestionKind) -> None:
    for prompt, truth in zip(render(scene(kind), BUCKETS), TRUTHS[kind], strict=True):
        messages, answer = training_example(prompt, truth)
        assert messages == prompt.messages
        assert with_answer(messages, answer) == f"{prompt.text}{answer}<|im_end|>\n"
        said = prompt.read(answer)
        assert said == truth or str(said).endswith(str(truth))


@pytest.mark.parametrize(
    ("kind", "truth"), [("purchase", 2), ("trip_choice", 2), ("survey", -1), ("review", "")]
)
def test_a_truth_that_is_no_answer_is_refused(kind: QuestionKind, truth: Any) -> None:
    with pytest.raises(ValueError, match=r"none of the options|no answer of the form|no text"):
        training_example(render(scene(kind), BUCKETS)[0], truth)


@pytest.mark.parametrize(
    ("kind", "subject", "reason"),
    [
        ("purchase", {}, "subject.candidates is empty"),
        ("voucher_redemption", {"campaign_id": "1"}, "subject.voucher_skus is empty"),
        ("basket_completion", {"candidates": ["a"]}, "subject.candidates needs two products or more"),
        (
            "basket_completion",
            {"candidates": [str(i) for i in range(27)]},
            "27 options; a prompt has letters for 26",
        ),
        ("trip_choice", {"baskets": [["a"]]}, "subject.baskets needs two baskets or more, none empty"),
        ("trip_choice", {"baskets": [["a"], []]}, "subject.baskets needs two baskets or more, none empty"),
        ("survey", {"scale": ["no", "yes"]}, "subject.statement is missing"),
        ("survey", {"statement": "Prices are fair.", "scale": ["yes"]}, "subject.scale needs 2 to 11 steps"),
        ("review", {"candidates": ["a", "b"]}, "needs the one product that the review is of"),
    ],
)
def test_a_question_that_lacks_its_subject_says_so(
    kind: QuestionKind, subject: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UnanswerableQuestion, match=reason):
        render(replace(scene(kind, subject), evidence=None), BUCKETS)


# What is missing or odd


def test_a_customer_of_whom_nothing_is_known_has_a_prompt() -> None:
    base = scene("purchase", {"candidates": ["993638"]}, environment={"products": []}, names={"x": "y"})
    dna = base.dna
    nothing = dna.model_copy(
        update={
            "categories": [], "types": [], "brands": [], "regulars": [], "channels": {}, "stores": {},
            "demographics": {},
            "timing": dna.timing.model_copy(update={"by_hour": [0] * 24, "by_weekday": [0] * 7}),
            "basket": dna.basket.model_copy(update={"days_between_trips": None}),
            "trend": dna.trend.model_copy(update={"spend_ratio": None}),
            "funnel": dna.funnel.model_copy(update={"sessions": 0}),
            "price_tier": None,
        }
    )  # fmt: skip
    unknown = np.full((1, NUMBERS), np.nan)
    (prompt,) = render(replace(base, dna=nothing, evidence=unknown), BUCKETS)
    assert 'product: "993638"' in prompt.text
    assert "a trip every unknown days" in prompt.text
    assert "categories: none yet" in prompt.text
    assert "times of day, UTC: unknown" in prompt.text
    assert "online" not in prompt.text
    assert "said to be" not in prompt.text


def test_regular_items_are_called_by_their_names() -> None:
    base: Scene = scene("survey", names={})
    assert 'regular item: "993638", on 14 days' in render(base, BUCKETS)[0].text
    named = render(scene("survey", names=NAMES), BUCKETS)[0].text
    assert f'regular item: "{NAMES["993638"]}", on 14 days, every 8.5 days, due 1.06' in named
