"""What the drift demo does to a segment, and what it says of the result."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from streams.demo.broken_segment import broken, exchanged
from streams.demo.drift_scores import skill
from streams.demo.drift_story import Plan, complaints
from streams.errors import UsageError
from streams.sources.record import Record
from streams.topics import TRANSACTIONS
from tests.retail import sale
from twin_store.messages.codec import epoch_seconds

SKUS = [f"sku-{number}" for number in range(40)]
GOOD = {
    "tripped_segment": "regulars", "windows_to_trip": 2, "false_trips": 0, "gate": "passed",
    "answers_lost": 0, "score_broken": -0.5, "score_after": 0.1,
}  # fmt: skip


def record(customer: str, day: int) -> Record:
    receipt = sale(day, SKUS[:3], customer)
    return Record(TRANSACTIONS, customer.encode(), receipt.to_wire(), epoch_seconds(receipt.occurred_at))


def test_most_products_are_exchanged_each_for_one_other_and_always_the_same() -> None:
    other = exchanged(SKUS, share=0.75)
    assert len(other) == 30
    assert set(other) == set(other.values())
    assert all(sku != into for sku, into in other.items())
    assert other == exchanged(SKUS[::-1], share=0.75)


def test_only_these_customers_change_and_only_from_then_on() -> None:
    records = [record(customer, day) for day in (1, 5) for customer in ("anna", "bob")]
    other = exchanged(SKUS, share=1.0)
    found = list(broken(records, {"anna"}, records[2].at_seconds, other))
    assert [after == before for after, before in zip(found, records, strict=True)] == [
        True,
        True,
        False,
        True,
    ]
    lines = [line["sku"] for line in json.loads(found[2].value or b"")["lines"]]
    assert lines == [other[sku] for sku in SKUS[:3]]
    assert (
        json.loads(found[2].value or b"")["transaction_id"]
        == json.loads(records[2].value or b"")["transaction_id"]
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"tripped_segment": None}, "did not trip"),
        ({"windows_to_trip": 4}, "4 windows"),
        ({"false_trips": 1}, "nobody had touched"),
        ({"gate": "not passed"}, "no challenger"),
        ({"answers_lost": 2}, "2 queries"),
        ({"score_after": None}, "did not recover"),
        ({"score_after": -0.6}, "did not recover"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, object], said: str | None) -> None:
    found = complaints(GOOD | change)
    assert found == [] if said is None else said in " ".join(found)


def test_the_skill_is_none_for_the_mean_and_negative_for_what_is_worse() -> None:
    truths = np.array([0, 0, 0, 1])
    assert skill(truths, np.full(4, 0.25)) == pytest.approx(0)
    assert skill(truths, np.array([0.0, 0.0, 0.0, 1.0])) == 1
    assert skill(truths, np.full(4, 0.9)) < 0


def test_a_break_before_the_past_ends_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="the break come before"):
        Plan(breaks_at=datetime(2017, 6, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="there is no segment"):
        Plan(segment="horses")
