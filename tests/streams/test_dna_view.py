"""A profile reads well, whatever it lacks."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from streams.dna_view import dna, due_words, sparkline
from tests.retail import sale, twin_of
from twin_store.dna.profile import ProductNames, ProfileWriter
from twin_store.dna.twin import Twin, fold_about
from twin_store.messages import Profile
from twin_store.messages.codec import decode
from twin_store.messages.profiles import CategoryPreference
from twin_store.symbols import key_of


def profile_of(twin: Twin) -> Profile:
    texts = ["milk", "bread", "store/s1"]
    symbols = {key_of(text): text for text in texts}
    return decode(Profile, ProfileWriter("USD").write("c1", twin, ProductNames.none(), symbols)[1])


def shown(profile: Profile) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(dna(profile, {"milk": "Fresh milk 1 l"}, "USD"))
    return console.export_text()


def test_regular_items_are_named_with_how_due_they_are() -> None:
    twin = twin_of([sale(day, ["milk"] if day != 29 else ["bread"]) for day in (0, 7, 14, 29)])
    text = shown(
        profile_of(fold_about(twin, b'{"demographics":{"age":"30"},"personalisation_consent":false}', 1))
    )
    row = next(line for line in text.splitlines() if "Fresh milk 1 l" in line)
    assert [
        part.strip() for part in row.strip("│ \n").split("  ") if part.strip() and "Fresh" not in part
    ] == ["milk", "3 days", "7.0 days", "2024-01-15", "2.14", "due"]
    for expected in ("customer c1", "age 30", "no consent", "4.00 USD", "s1 4"):
        assert expected in text


def test_somebody_of_whom_nothing_but_the_age_is_known_can_be_shown() -> None:
    text = shown(profile_of(fold_about(Twin(), b'{"demographics":{"age":"30"}}', 1)))
    assert "customer c1" in text
    assert "age 30" in text


def test_price_sensitivity_and_deals_are_shown_where_they_are_known() -> None:
    plain = profile_of(twin_of([sale(0, ["milk"])]))
    assert "item types" not in shown(plain)
    groups = {
        level: [CategoryPreference(category=f"her {level}", share=1.0, lines=1, price_index=0.87)]
        for level in ("categories", "types", "brands")
    }
    promotion = plain.dna.promotion.model_copy(update={"deal_lift": 1.35})
    told = {**groups, "price_tier": 0.25, "price_index": 0.92, "promotion": promotion}
    text = shown(plain.model_copy(update={"dna": plain.dna.model_copy(update=told)}))
    facts = dict(re.findall(r"(price tier|paid to usual|deals to usual) +([0-9.]+%?) ", text))
    assert facts == {"price tier": "0.25", "paid to usual": "92%", "deals to usual": "135%"}
    for level in groups:
        (row,) = [line for line in text.splitlines() if f"her {level}" in line]
        assert row.split()[-3:-1] == ["-", "87%"]


@pytest.mark.parametrize(("due", "words"), [(0.3, "not yet"), (1.0, "due"), (3.0, "given up?")])
def test_how_due_is_said_in_words(due: float, words: str) -> None:
    assert due_words(due) == words


def test_sparklines_are_as_long_as_what_they_show() -> None:
    assert sparkline([0, 1, 4, 8]) == " ▂▅█"
    assert sparkline([0, 0]) == "  "
    assert sparkline([]) == ""
