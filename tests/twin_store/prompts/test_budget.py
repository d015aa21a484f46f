"""A prompt that is too long loses whole lines in the stated order; the question and the system's words stay."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin_store.prompts.scenes import NAMES, buckets, scene
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import ChatMessage, Prompt, PromptTooLong, as_text, drop_order, render
from twin_store.prompts.budget import TELLING, dropped_to_fit
from twin_store.prompts.dna import DNA_USEFULNESS
from twin_store.prompts.families import FAMILY_OF
from twin_store.prompts.rendering import SYSTEM

KINDS: tuple[QuestionKind, ...] = get_args(QuestionKind)
BUCKETS = buckets()
each_kind = pytest.mark.parametrize("kind", KINDS)


def words(text: str) -> int:
    """Tokens for these tests: words and signs."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def fitted(kind: QuestionKind, budget: int) -> list[Prompt]:
    return render(scene(kind), BUCKETS, count_tokens=words, budget=budget)


def question_of(prompt: Prompt) -> str:
    content = prompt.messages[1].content
    return content[content.index("Question\n") :]


def lines_of(prompt: Prompt) -> set[str]:
    return {line for message in prompt.messages for line in message.content.splitlines()}


def bare(prompt: Prompt) -> int:
    """How long a prompt is without all the lines that may go."""
    return words(as_text((ChatMessage("system", SYSTEM), ChatMessage("user", question_of(prompt)))))


@each_kind
def test_without_need_nothing_is_dropped(kind: QuestionKind) -> None:
    whole = render(scene(kind), BUCKETS)
    most = max(words(prompt.text) for prompt in whole)
    assert fitted(kind, most) == whole
    assert all(prompt.dropped == () for prompt in whole)


@each_kind
def test_lines_go_whole_and_in_the_stated_order(kind: QuestionKind) -> None:
    whole = render(scene(kind), BUCKETS)
    least, most = max(map(bare, whole)), max(words(prompt.text) for prompt in whole)
    order = drop_order(kind)
    before: list[tuple[str, ...]] = [()] * len(whole)
    for budget in [*range(most, least, -41), least]:
        found = fitted(kind, budget)
        for full, prompt in zip(whole, found, strict=True):
            assert words(prompt.text) <= budget
            assert lines_of(prompt) <= lines_of(full)
            assert question_of(prompt) == question_of(full)
            assert prompt.messages[0].content.startswith(SYSTEM)
            assert list(prompt.dropped) == sorted(prompt.dropped, key=order.index)
        # The less room there is, the longer the same list of what went.
        assert all(prompt.dropped[: len(fewer)] == fewer for prompt, fewer in zip(found, before, strict=True))
        before = [prompt.dropped for prompt in found]
    longest = max(found, key=bare)
    assert longest.messages == (
        ChatMessage("system", SYSTEM),
        ChatMessage("user", question_of(longest)),
    )


@given(st.lists(st.integers(1, 9), max_size=20), st.integers(0, 200))
def test_no_more_lines_go_than_must(lengths: list[int], budget: int) -> None:
    order = [str(number) for number in range(len(lengths))]

    def text_without(dropped: Container[str]) -> str:
        kept = [length for key, length in zip(order, lengths, strict=True) if key not in dropped]
        return "x" * (10 + sum(kept))

    if budget < 10:
        with pytest.raises(PromptTooLong):
            dropped_to_fit(text_without, order, len, budget)
        return
    dropped = dropped_to_fit(text_without, order, len, budget)
    assert list(dropped) == order[: len(dropped)]
    assert len(text_without(dropped)) <= budget
    if dropped:
        assert len(text_without(dropped[:-1])) > budget


def test_the_order_is_as_it_is_documented() -> None:
    order = drop_order("purchase")
    numbers = [f"evidence.{name}" for name in FAMILY_OF["purchase"].usefulness]
    assert order == (
        *numbers[:TELLING - 1:-1],
        *("environment.retrieved.3", "environment.retrieved.2", "environment.retrieved.1"),
        *DNA_USEFULNESS[::-1],
        *("environment.moment", "environment.store", "environment.shelf"),
        *numbers[TELLING - 1 :: -1],
        "segment",
    )  # fmt: skip
    assert drop_order("survey")[0] == "environment.retrieved.3"


@each_kind
def test_a_question_that_does_not_fit_alone_is_a_named_error(kind: QuestionKind) -> None:
    least = max(map(bare, render(scene(kind), BUCKETS)))
    assert fitted(kind, least)
    with pytest.raises(PromptTooLong, match=rf"the question alone takes {least} tokens of {least - 1}"):
        fitted(kind, least - 1)


def test_tokens_are_counted_a_few_times_only() -> None:
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return words(text)

    render(scene("promotion_response"), BUCKETS, count_tokens=count, budget=500)
    assert len(counted) <= 10


def test_a_budget_needs_a_way_to_count() -> None:
    with pytest.raises(ValueError, match="a budget needs count_tokens"):
        render(scene("purchase"), BUCKETS, budget=100)


def test_endless_baskets_are_cut_to_whole_items() -> None:
    many = [f"sku-{i:04}" for i in range(1_000)]
    told = scene("trip_choice", {"baskets": [many, many[:31]]}, names=NAMES)
    line = next(line for line in render(told, BUCKETS)[0].text.splitlines() if line.startswith("A. "))
    assert line.startswith('A. 1000 items, "sku-0000", "sku-0001", ')
    assert line.endswith('"sku-0029" and 970 more')
