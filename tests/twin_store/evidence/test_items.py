"""Evidence on products, against the same numbers counted slowly, and blind to everything after `as_of`."""

import itertools
import math
import statistics

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.retail import MONDAY, sale, second, twin_of
from twin_store.affinity import Affinity
from twin_store.catalogue import Catalogue
from twin_store.dna.twin import Twin
from twin_store.evidence import (
    EVIDENCE_NAMES,
    EvidenceReader,
    Products,
    Question,
    UnanswerableQuestion,
    named,
)
from twin_store.market import Market
from twin_store.messages.codec import week_of_day
from twin_store.messages.decisions import Environment, Subject
from twin_store.symbols import key_of

WEEK = week_of_day((MONDAY - MONDAY.replace(year=1970)).days)
SECTIONS = {"milk": "DAIRY", "cheese": "DAIRY", "bread": "BAKERY", "soap": None}
CATALOGUE = pl.DataFrame(
    {
        "sku": list(SECTIONS),
        "name": list(SECTIONS),
        "section": list(SECTIONS.values()),
        "item_type": ["MILK", "CHEESE", "LOAF", None],
        "brand": ["own", "other", "own", None],
        "private_label": [True, False, True, None],
    }
)


def reader(market: Market | None = None, affinity: Affinity | None = None) -> EvidenceReader:
    products = Products(Catalogue.from_frame(CATALOGUE), market or Market())
    return EvidenceReader(products, affinity or Affinity.empty())


def ask(twin: Twin, day: float, *skus: str, **environment: object) -> list[dict[str, float]]:
    question = Question(
        "purchase",
        second(day),
        Subject(candidates=list(skus)),
        Environment.model_validate(environment),
    )
    return [named("purchase", row) for row in reader().read(question, twin)]


TRIPS = st.lists(
    st.tuples(st.integers(0, 80), st.lists(st.sampled_from(list(SECTIONS)), min_size=1, max_size=4, unique=True)),
    max_size=12,
    unique_by=lambda trip: trip[0],
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(TRIPS, st.integers(0, 90))
def test_the_levels_are_what_counting_by_hand_gives(trips: list[tuple[int, list[str]]], day: int) -> None:
    twin = twin_of(sale(when, skus) for when, skus in sorted(trips))
    known = sorted((when, set(skus)) for when, skus in trips if when < day)
    for sku, found in zip(SECTIONS, ask(twin, day, *SECTIONS), strict=True):
        groups = {"item": {sku}, "section": {s for s in SECTIONS if SECTIONS[s] == SECTIONS[sku]}}
        for level, group in groups.items():
            if level == "section" and SECTIONS[sku] is None:
                assert f"{level}_days" not in found
                continue
            expected = count_slowly(known, group, day)
            got = {name: found.get(f"{level}_{name}") for name in expected}
            assert got == pytest.approx(expected, nan_ok=True), (sku, level)


def count_slowly(known: list[tuple[int, set[str]]], group: set[str], day: int) -> dict[str, float | None]:
    shopping = [when for when, _ in known]
    bought = [when for when, skus in known if skus & group]
    gaps = [b - a for a, b in itertools.pairwise(bought)]
    weights = {half: [0.5 ** ((day - when) / half) for when in shopping] for half in (28, 91)}

    def share(half: int) -> float | None:
        marked = sum(w for when, w in zip(shopping, weights[half], strict=True) if when in bought)
        return marked / sum(weights[half]) if shopping else None

    return {
        "days": len(bought),
        "since": day - bought[-1] if bought else None,
        "trips_since": sum(when > bought[-1] for when in shopping) if bought else None,
        "interval": statistics.mean(gaps) if gaps else None,
        "spread": statistics.pstdev(gaps) if gaps else None,
        "last_interval": gaps[-1] if gaps else None,
        "due": (day - bought[-1]) / statistics.mean(gaps) if gaps else None,
        "share": len(bought) / len(shopping) if shopping else None,
        "share_month": share(28),
        "share_quarter": share(91),
        "lines": statistics.mean(math.log(len(skus)) for _, skus in known if skus & group)
        if bought
        else None,
    }


@settings(deadline=None, max_examples=40)
@given(TRIPS, TRIPS, st.integers(20, 60))
def test_what_comes_after_the_question_changes_no_number(
    trips: list[tuple[int, list[str]]], later: list[tuple[int, list[str]]], day: int
) -> None:
    before = [sale(when, skus) for when, skus in sorted(trips) if when < day]
    after = [sale(when, skus, number=f"later-{when}") for when, skus in sorted(later) if when >= day]
    then = ask(twin_of(before), day, *SECTIONS, store_id="s1")
    now = ask(twin_of(before + after), day, *SECTIONS, store_id="s1")
    assert repr(then) == repr(now)


def test_a_receipt_of_the_very_second_of_the_question_is_known() -> None:
    twin = twin_of([sale(3, ["milk"])])
    assert ask(twin, 3.5, "milk")[0]["item_days"] == 1
    assert ask(twin, 3.49, "milk")[0]["item_days"] == 0


def test_numbers_are_finite_or_left_out_for_a_customer_nobody_knows() -> None:
    found = ask(Twin(), 10, "milk", "never heard of", store_id="s1")
    assert all(math.isfinite(value) for row in found for value in row.values())
    assert found[0]["trips"] == 0
    assert "trip_since" not in found[0]


def test_prices_are_compared_with_what_she_paid() -> None:
    lines = [{"sku": "milk", "quantity": 2.0, "net": "3.00"}]
    twin = twin_of([sale(1, lines), sale(2, [{"sku": "milk", "net": "2.50"}])])
    (found,) = ask(twin, 5, "milk", context=[{"sku": "milk", "price": "2.00", "display": True}])
    assert found["price"] == 200
    assert found["item_price_to_last_paid"] == pytest.approx(2.00 / 2.50)
    assert found["item_price_to_least_paid"] == pytest.approx(2.00 / 1.50)
    assert found["item_price_to_mean_paid"] == pytest.approx(2.00 / (5.50 / 3))
    assert (found["display"], found["mailer"]) == (1, 0)


def test_brand_and_own_brand_are_shares_of_her_purchases() -> None:
    twin = twin_of([sale(1, ["milk", "cheese"]), sale(2, ["milk", "bread"])])
    milk, cheese = ask(twin, 5, "milk", "cheese")
    assert milk["brand_share"] == pytest.approx(3 / 4)
    assert cheese["brand_share"] == pytest.approx(1 / 4)
    assert milk["brand_of_section"] == pytest.approx(2 / 3)
    assert milk["private_share"] == pytest.approx(3 / 4)
    assert (milk["own_brand"], cheese["own_brand"]) == (1, 0)


def test_sizes_of_her_trips_and_other_products_of_the_type() -> None:
    twin = twin_of([sale(1, ["milk", "bread"]), sale(4, ["milk", "bread", "cheese"]), sale(6, ["soap"])])
    (found,) = ask(twin, 9, "milk", store_id="nowhere yet")
    assert found["day_lines"] == pytest.approx(math.log(2 * 3) / 3)
    assert found["day_lines_last"] == 0
    assert "store_lines" not in found
    assert "type_other_since" not in found


def test_the_market_shows_completed_weeks_only() -> None:
    rows = [(key_of("milk"), WEEK - 1, 8, 16_000, 4_000, 2), (key_of("milk"), WEEK, 90, 90_000, 9, 90)]
    columns = ["sku_key", "week", "lines", "units", "net", "deal_lines"]
    market = Market.from_weeks(
        pl.DataFrame([*rows, (key_of("soap"), WEEK - 1, 2, 2_000, 2, 0)], columns, orient="row")
    )
    market.list_at(np.array([key_of("milk")]), np.array([key_of("s1")]), np.array([WEEK]))
    question = Question("purchase", second(3), Subject(candidates=["milk"]), Environment(store_id="s1"))
    found = named("purchase", reader(market).read(question, Twin())[0])
    assert found["popularity_1"] == pytest.approx(8_000)
    assert found["price"] == pytest.approx(250)
    assert found["product_deal_share"] == pytest.approx(0.25)
    assert found["store_lists"] == 0
    week_later = Question("purchase", second(10), question.subject, question.environment)
    assert named("purchase", reader(market).read(week_later, Twin())[0])["store_lists"] == 1


def test_candidates_do_not_influence_each_other() -> None:
    twin = twin_of([sale(day, ["milk", "bread"]) for day in range(0, 30, 3)])
    together = ask(twin, 31, *SECTIONS, *SECTIONS)
    alone = [ask(twin, 31, sku)[0] for sku in [*SECTIONS, *SECTIONS]]
    assert repr(together) == repr(alone)


@pytest.mark.parametrize(
    ("kind", "subject", "place"),
    [
        ("purchase", {}, "subject.candidates"),
        ("basket_completion", {"partial_basket": ["milk"]}, "subject.candidates"),
        ("trip_choice", {"baskets": [["milk"]]}, "subject.baskets"),
        ("trip_choice", {"baskets": [["milk"], []]}, "subject.baskets"),
        ("voucher_redemption", {"campaign_id": "c"}, "subject.voucher_skus"),
        ("review", {"candidates": ["milk"]}, "kind review has no evidence"),
    ],
)
def test_a_question_that_lacks_its_subject_says_so(kind: str, subject: dict[str, object], place: str) -> None:
    with pytest.raises(UnanswerableQuestion, match=place):
        reader().read(Question(kind, second(1), Subject.model_validate(subject)), Twin())  # type: ignore[arg-type]


def test_names_are_unique_and_every_kind_has_some() -> None:
    for kind, names in EVIDENCE_NAMES.items():
        assert len(set(names)) == len(names) > 20, kind
