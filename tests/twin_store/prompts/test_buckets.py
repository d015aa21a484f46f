"""Buckets of evidence: quantiles, legible lines, and edges that travel as JSON."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin_store.prompts.scenes import buckets
from twin_store.evidence import EVIDENCE, EVIDENCE_NAMES
from twin_store.prompts import FORMAT, Buckets, BucketsError
from twin_store.prompts.buckets import BUCKETS, UNKNOWN
from twin_store.prompts.families import FAMILIES, FAMILY_OF, ITEM, VOUCHER

VALUES = st.one_of(st.floats(-1e9, 1e9), st.integers(0, 5).map(float), st.just(math.nan), st.just(math.inf))


def fitted(values: list[float], name: str = "item_since") -> Buckets:
    table = np.zeros((len(values), len(ITEM.facts)))
    table[:, EVIDENCE_NAMES["purchase"].index(name)] = values
    return Buckets.fit({"purchase": table})


def line(found: Buckets, value: float, name: str = "item_since") -> str | None:
    row = [0.0] * len(ITEM.facts)
    row[EVIDENCE_NAMES["purchase"].index(name)] = value
    return dict(found.lines(ITEM, row)).get(name)


def test_families_name_and_rank_every_number_once() -> None:
    assert set(FAMILY_OF) == set(EVIDENCE)
    for kind, family in FAMILY_OF.items():
        names = [fact.name for fact in EVIDENCE[kind]]
        assert family.facts == EVIDENCE[kind]
        assert list(family.labels) == names
        assert sorted(family.usefulness) == sorted(names)
        assert family.of_all_options <= set(names)
        assert len(set(family.labels.values())) == len(names)
        assert not any(set(label) & set(':"<>|\n') for label in family.labels.values())


def test_sixteen_buckets_hold_equally_many() -> None:
    values = np.arange(1_600.0)
    found = fitted(values.tolist())
    lines = [line(found, value) for value in values.tolist()]
    assert len(set(lines)) == BUCKETS
    assert all(90 <= lines.count(each) <= 110 for each in set(lines))
    assert lines[0] == "days since bought: below 100"
    assert lines[150] == "days since bought: 100 to 200"
    assert lines[-1] == "days since bought: 1500 or more"
    assert line(found, math.nan) == f"days since bought: {UNKNOWN}"


def test_a_value_on_an_edge_is_in_the_bucket_that_begins_there() -> None:
    found = fitted([*range(10, 15)] * 20)
    assert [line(found, value) for value in (9, 10, 11, 13.9, 14, math.inf, -math.inf)] == [
        f"days since bought: {text}"
        for text in ("below 11", "below 11", "11 to 12", "13 to 14", "14 or more", "14 or more", "below 11")
    ]


def test_numbers_that_never_vary_have_no_line_and_rare_ones_do() -> None:
    assert line(fitted([3.0] * 50), 3.0) is None
    assert line(fitted([]), 3.0) is None
    assert line(fitted([math.nan] * 50), 3.0) is None
    rare = fitted([0.0] * 999 + [2.0])
    assert [line(rare, value) for value in (0, 1, 2)] == [
        "days since bought: below 2", "days since bought: below 2", "days since bought: 2 or more",
    ]  # fmt: skip


def test_yes_and_no_need_no_edges() -> None:
    empty = Buckets({})
    assert [line(empty, value, "display") for value in (0, 1, math.nan)] == [
        "on display: no", "on display: yes", "on display: unknown",
    ]  # fmt: skip


@given(st.lists(VALUES, max_size=60), VALUES)
def test_every_value_has_one_line_that_tells_where_it_is(values: list[float], value: float) -> None:
    found = fitted(values)
    text = line(found, value)
    edges = found.edges["item"].get("item_since", ())
    assert (text is None) == (not edges)
    assert len(edges) < BUCKETS
    assert list(edges) == sorted(set(edges))
    if text is None:
        return
    assert text in found.vocabulary()
    said = text.removeprefix("days since bought: ")
    if math.isnan(value):
        assert said == UNKNOWN
    elif said.startswith("below "):
        assert value < float(said.removeprefix("below "))
    elif said.endswith(" or more"):
        assert value >= float(said.removesuffix(" or more"))
    else:
        low, high = said.split(" to ")
        assert float(low) <= value < float(high)


def test_kinds_of_a_family_are_fitted_together() -> None:
    low, high = np.zeros((50, len(ITEM.facts))), np.ones((50, len(ITEM.facts)))
    found = Buckets.fit({"purchase": low, "basket_completion": high})
    assert found.edges["item"]["item_since"] == (1.0,)
    assert set(found.edges) == {"item"}


def test_a_table_of_another_kind_is_refused() -> None:
    items, vouchers = len(ITEM.facts), len(VOUCHER.facts)
    with pytest.raises(
        ValueError, match=rf"evidence on purchase has {items} columns; this is \(3, {vouchers}\)"
    ):
        Buckets.fit({"purchase": np.zeros((3, vouchers))})


def test_the_vocabulary_is_every_line_once() -> None:
    words = buckets().vocabulary()
    assert words == sorted(set(words))
    assert "on display: unknown" in words
    assert f"days since bought: {UNKNOWN}" in words
    assert len(words) <= sum(len(family.facts) for family in FAMILIES.values()) * (BUCKETS + 1)


# JSON


def test_edges_come_back_from_json() -> None:
    found = buckets()
    text = found.to_json()
    again = Buckets.from_json(text)
    assert again.edges == found.edges
    assert again.to_json() == text
    assert Buckets.from_json(text.encode()).vocabulary() == found.vocabulary()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "no JSON"),
        (b"\xff", "no JSON"),
        ("[]", f"not of prompt format {FORMAT}"),
        ({"format": FORMAT + 1, "edges": {}}, f"not of prompt format {FORMAT}"),
        ({"format": FORMAT}, "edges: missing"),
        ({"format": FORMAT, "edges": {"items": {}}}, "edges.items: there are item, basket, voucher"),
        ({"format": FORMAT, "edges": {"item": []}}, "edges.item: "),
        ({"format": FORMAT, "edges": {"item": {"age": [1]}}}, "edges.item.age: no number of this name"),
        ({"format": FORMAT, "edges": {"item": {"display": [1]}}}, "edges.item.display: no number"),
        *(
            (
                {"format": FORMAT, "edges": {"item": {"item_since": edges}}},
                "edges.item.item_since: not 1 to 15 asc",
            )
            for edges in ([], [2, 1], [1, 1], ["1"], [True], [None], 1, [10**400], list(range(16)))
        ),
    ],
)
def test_edges_that_do_not_fit_are_refused_by_place(body: Any, reason: str) -> None:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    with pytest.raises(BucketsError, match=reason):
        Buckets.from_json(text)
    with pytest.raises(BucketsError):
        Buckets.from_json('{"format": 1, "edges": {"item": {"item_since": [NaN]}}}')


def test_only_the_most_telling_numbers_are_told_and_silence_travels_along() -> None:
    whole = buckets()
    few = Buckets(whole.most_telling(3).edges, ("dna", "environment.retrieved"))
    for name, edges in few.edges.items():
        assert set(edges) <= set(FAMILIES[name].usefulness[:3])
    assert set(few.vocabulary()) < set(whole.vocabulary())
    assert Buckets.from_json(few.to_json()) == few
    assert few.is_silent("dna.activity")
    assert few.is_silent("environment.retrieved.1")
    assert not few.is_silent("environment.moment")
    assert whole.to_json() == Buckets.from_json(whole.to_json()).to_json()
    assert "silent" not in whole.to_json()
    with pytest.raises(BucketsError, match="silent"):
        Buckets.from_json('{"format": 1, "edges": {}, "silent": ["question"]}')


def test_a_ladder_is_the_lines_of_one_number_in_order() -> None:
    found = buckets()
    ladders = found.ladders()
    assert sorted({line for ladder in ladders for line in ladder}) == found.vocabulary()
    assert all(ladder[-1].endswith("unknown") for ladder in ladders)
