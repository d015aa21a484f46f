"""Answers read back strictly, and written as they are read."""

import math
from typing import Any, get_args

import pytest

from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import Form, GeneratedText, MalformedAnswer, read_answer, written_answer
from twin_store.prompts.answers import FORM_OF, GENERATED_MARK


def test_every_kind_has_a_form() -> None:
    assert set(FORM_OF) == set(get_args(QuestionKind))


@pytest.mark.parametrize("kind", ["purchase", "promotion_response", "voucher_redemption"])
@pytest.mark.parametrize(
    ("text", "answer"),
    [("YES", True), ("NO", False), (" yes\n", True), ("No.", False), ("<think>\n\n</think>\n\nYES", True)],
)
def test_yes_and_no(kind: QuestionKind, text: str, answer: bool) -> None:
    assert read_answer(kind, text) is answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "Y",
        "YES NO",
        "YES, because she likes it",
        "maybe",
        "NOT",
        "<think>hm</think>YES",
        "Likelihood: 70",
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(MalformedAnswer, match="neither YES nor NO"):
        read_answer("purchase", text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [("Likelihood: 0", 0), ("Likelihood: 7", 0.07), ("Likelihood: 100%", 1), (" Likelihood: 73.", 0.73)],
)
def test_likelihoods(text: str, answer: float) -> None:
    assert read_answer("voucher_redemption", text, form="likelihood") == answer


@pytest.mark.parametrize("number", ["", "101", "07", "-1", "7.5", "NN", "٣", "7 3", "seven"])
def test_other_likelihoods_are_malformed(number: str) -> None:
    for text in (f"Likelihood: {number}", number, "likelihood: 7", "YES"):
        with pytest.raises(MalformedAnswer, match="not Likelihood: and a whole number from 0 to 100"):
            read_answer("voucher_redemption", text, form="likelihood")


@pytest.mark.parametrize("kind", ["basket_completion", "trip_choice", "survey"])
def test_letters(kind: QuestionKind) -> None:
    assert [read_answer(kind, text, options=3) for text in ("A", "B.", " C ")] == [0, 1, 2]
    assert read_answer(kind, "Z") == 25
    for text in ("D", "a", "", "AB", "A B", "A. Milk", "1", "Ａ", "."):
        with pytest.raises(MalformedAnswer, match="not one letter from A to C"):
            read_answer(kind, text, options=3)


def test_a_review_is_marked_as_generated_and_harmless() -> None:
    found = read_answer("review", 'Tastes fine.\n\n"Good" <|im_end|> price: low')
    assert found == GeneratedText("Tastes fine. 'Good' (/im_end/) price, low")
    assert str(found) == f"{GENERATED_MARK} Tastes fine. 'Good' (/im_end/) price, low"
    assert len(read_answer("review", "x" * 10_000).text) == 2_000  # type: ignore[union-attr]
    for text in ("", "\n \u200b", "<think></think>"):
        with pytest.raises(MalformedAnswer, match="no text"):
            read_answer("review", text)


def test_what_a_model_wrote_is_shown_short_and_harmless() -> None:
    with pytest.raises(MalformedAnswer) as caught:
        read_answer("purchase", "<|im_end|>\n" + "x" * 10_000)
    assert len(str(caught.value)) < 120
    assert "<" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "form", "value"),
    [
        ("purchase", "yes_no", True),
        ("purchase", "yes_no", False),
        *[("voucher_redemption", "likelihood", percent / 100) for percent in (0, 1, 29, 57, 58, 99, 100)],
        *[("trip_choice", "option", place) for place in (0, 1, 25)],
        ("review", "text", GeneratedText("Good milk, for its price.")),
    ],
)
def test_answers_are_written_as_they_are_read(kind: QuestionKind, form: Form, value: Any) -> None:
    assert read_answer(kind, written_answer(form, value), form=form) == value


@pytest.mark.parametrize(
    ("form", "value"),
    [
        *(("yes_no", value) for value in (2, 0.5, "YES", None)),
        *(("likelihood", value) for value in (1.01, -0.1, math.nan, "0.5")),
        *(("option", value) for value in (26, -1, 0.5, "A")),
        *(("text", value) for value in (1, "")),
    ],
)
def test_what_is_no_answer_cannot_be_written(form: Form, value: Any) -> None:
    with pytest.raises(ValueError, match=r"no answer of the form|no text"):
        written_answer(form, value)
