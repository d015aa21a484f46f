"""Evidence is as of its moment: what came later, and what the answering trip cost, change no row, byte for byte."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from trainer.fit_evidence import SPAN_DAYS_MIN, Drawn, Effort, draw_cases, split_by_time
from trainer.tasks import matched
from trainer.tasks.cases import Case
from trainer.tasks.history import History
from trainer.tasks.replay import keys_of
from trainer.tasks.shelves import DISPLAY, Shelf, Shelves
from trainer.tasks.shop import Shop
from trainer.tasks.table import Table
from trainer.tasks.workshop import Workshop
from twin_store.dna.rows import SECONDS_PER_DAY
from twin_store.messages.codec import FIRST_MONDAY

Cases = dict[Drawn, list[Case]]


@pytest.fixture(scope="module")
def cases(workshop: Workshop) -> Cases:
    return draw_cases(workshop, Effort().times(0.02))


def without_later(history: History, moment: int) -> History:
    """The history as it was known at that moment."""
    known = pl.col("starts") <= moment
    return replace(
        history,
        lines=history.lines.filter(pl.col("second") <= moment),
        shelves=Shelves([]),  # what a shelf said is in the question, not looked up
        campaigns=history.campaigns.filter(known),
        until=moment + 1,
    )


def with_another_future(history: History, moment: int) -> History:
    """The same up to that moment; then other baskets at other prices, twice as many, returned, and other offers."""
    later = pl.col("second") > moment
    future = history.lines.filter(later)
    skus = future["sku"].shuffle(seed=3)
    other = future.with_columns(
        skus.alias("sku"),
        *((pl.col(name) * 7 + 13).alias(name) for name in ("units", "net", "discount", "coupon")),
        (pl.col("customer_id") + pl.lit("")).shuffle(seed=4).alias("customer_id"),
        pl.concat_str("transaction_id", pl.lit("-other")).alias("transaction_id"),
        ~pl.col("on_promotion"),
    )
    back = history.lines.filter(~later).tail(200).with_columns(
        pl.lit("return").alias("kind"),
        pl.col("transaction_id").alias("original_transaction_id"),
        pl.concat_str("transaction_id", pl.lit("-back")).alias("transaction_id"),
        pl.lit(moment + 1, dtype=pl.Int64).alias("second"),
    )  # fmt: skip
    lines = pl.concat([history.lines.filter(~later), back, other, future]).sort("second", maintain_order=True)
    everything = np.unique(keys_of(history.lines["sku"].drop_nulls()))
    campaigns = history.campaigns.with_columns(
        pl.when(pl.col("starts") > moment).then(pl.lit("Z")).otherwise("campaign_type").alias("campaign_type")
    )
    shelf = Shelf(DISPLAY, None, moment + 1, history.until, everything)
    return replace(history, lines=lines, campaigns=campaigns, shelves=Shelves([shelf]))


@pytest.mark.parametrize("change", [without_later, with_another_future])
@pytest.mark.parametrize("share", [0.35, 0.8])
def test_what_comes_later_changes_no_evidence(
    history: History,
    workshop: Workshop,
    cases: Cases,
    change: Callable[[History, int], History],
    share: float,
) -> None:
    moments = np.sort([case.as_of for case in cases["purchase", "matched"]])
    moment = int(moments[int(share * len(moments))])
    other = Workshop(change(history, moment))
    compared = set()
    for (kind, _), drawn in cases.items():
        asked = [case for case in drawn if case.as_of <= moment]
        if asked:
            compared.add(kind)
            was, now = workshop.table(asked), other.table(asked)
            assert now.evidence.tobytes() == was.evidence.tobytes(), kind
    assert compared >= {"purchase", "promotion_response", "basket_completion", "trip_choice"}


def test_what_the_answering_trip_cost_is_not_used(history: History, workshop: Workshop) -> None:
    # The last week: what its trips cost is in no other customer's market yet.
    week = (history.until // SECONDS_PER_DAY - FIRST_MONDAY) // 7
    start = (FIRST_MONDAY + 7 * week) * SECONDS_PER_DAY
    trips = history.lines.group_by("customer_id").agg(pl.col("second").max())
    last = {customer: second for customer, second in trips.iter_rows() if second >= start}
    assert len(last) > 20
    costs_more = [
        pl.when(pl.struct("customer_id", "second").is_in([{"customer_id": c, "second": s} for c, s in last.items()]))
        .then(pl.col(name) * 9 + 50)
        .otherwise(name)
        .alias(name)
        for name in ("net", "discount", "coupon")
    ]  # fmt: skip
    dearer = Workshop(replace(history, lines=history.lines.with_columns(costs_more)))
    for draw in (matched.purchases, matched.promotions, matched.completions, matched.choices):
        drawn = draw(workshop.shop, start, history.until, 10_000, 1)
        asked = [case for case in drawn if last.get(case.customer_id) == case.as_of + 1]
        assert asked, draw.__name__
        was, now = workshop.table(asked), dearer.table(asked)
        assert now.evidence.tobytes() == was.evidence.tobytes(), draw.__name__
        after = [replace(case, as_of=case.as_of + 1) for case in asked]
        seen = workshop.table(after).evidence.tobytes() != dearer.table(after).evidence.tobytes()
        assert seen, "a moment later the prices are seen: the comparison can fail"


def test_no_moment_is_in_two_splits(workshop: Workshop, cases: Cases) -> None:
    for drawn in cases.values():
        table = workshop.table(drawn)
        fit, calibrate, measure = split_by_time(table)
        assert ((fit.astype(int) + calibrate + measure) == 1).all()
        spans = [table.seconds[rows] for rows in (fit, calibrate, measure)]
        assert all(len(span) for span in spans)
        assert spans[0].max() < spans[1].min()
        assert spans[1].max() < spans[2].min()


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_moments_the_splits_are_apart(seed: int) -> None:
    generator = np.random.default_rng(seed)
    days = generator.integers(0, generator.integers(SPAN_DAYS_MIN + 1, 60), generator.integers(50, 400))
    seconds = np.sort(np.concatenate((days, [0, SPAN_DAYS_MIN, SPAN_DAYS_MIN]))) * SECONDS_PER_DAY
    none: Any = np.zeros(len(seconds))
    parts = split_by_time(Table("purchase", none, none, none, none, seconds, none))
    assert sum(part.sum() for part in parts) == len(seconds)
    sets = [set(seconds[part].tolist()) for part in parts]
    assert all(sets)
    assert max(sets[0]) < min(sets[1])
    assert max(sets[1]) < min(sets[2])


def test_too_few_days_or_moments_are_refused() -> None:
    none: Any = np.zeros(40)
    for days in (np.arange(40) % SPAN_DAYS_MIN, np.repeat([0, 30], 20)):
        seconds = np.sort(days) * SECONDS_PER_DAY
        with pytest.raises(ValueError, match="its cases"):
            split_by_time(Table("purchase", none, none, none, none, seconds, none))


def basket_of(shop: Shop, case: Case) -> set[str]:
    """What was bought on the trip that answers a matched case."""
    trips = shop.trips.between(case.as_of + 1, case.as_of + 2)
    (trip,) = (t for t in trips.tolist() if shop.customer(t) == case.customer_id)
    return set(shop.skus(shop.trips.basket(trip)))


def test_nothing_wrong_was_bought_on_that_trip(workshop: Workshop, cases: Cases) -> None:
    for kind in ("purchase", "promotion_response", "basket_completion"):
        for case in cases[kind, "matched"]:
            basket = basket_of(workshop.shop, case)
            skus = case.subject.candidates
            assert len(set(skus)) == len(skus)
            assert [sku in basket for sku in skus] == [bool(label) for label in case.labels]
            share = 1 / 5 if kind == "basket_completion" else 1 / 2
            assert sum(case.labels) == share * len(case.labels)


@pytest.mark.parametrize(
    ("draw", "shares"),
    [
        (matched.purchases, {"section": 1 / 3, "anywhere": 1 / 3, "hers": 1 / 3}),
        (matched.promotions, {"section": 1 / 2, "anywhere": 1 / 2, "hers": 0}),
    ],
)
def test_hard_negatives_come_in_the_stated_shares(
    workshop: Workshop, draw: Any, shares: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, tried = workshop.shop, []
    find = shop.alike

    def alike(trip: int, target: int, pool: np.ndarray, *others: Any, **options: Any) -> int | None:
        week = shop.assortment.before(shop.second(trip))
        section = week.of_section.get(int(shop.assortment.sections[target]))
        tried.append("anywhere" if pool is week.on_sale else "section" if pool is section else "hers")
        return find(trip, target, pool, *others, **options)

    monkeypatch.setattr(shop, "alike", alike)
    list(draw(shop, workshop.first_case, workshop.end, 3_000, 7))
    assert len(tried) > 1_000
    for name, share in shares.items():
        assert tried.count(name) / len(tried) == pytest.approx(share, abs=4 / 2 / len(tried) ** 0.5), name


def test_of_a_completion_half_the_wrong_options_are_of_the_section_where_it_has_them(
    workshop: Workshop, cases: Cases
) -> None:
    section_of = dict(workshop.history.catalogue.select("sku", "section").iter_rows())
    alike = []
    for case in cases["basket_completion", "matched"]:
        of = [section_of[sku] for sku in case.subject.candidates]
        truth = case.labels.index(1)
        alike.append(of.count(of[truth]) - 1)
    assert 0.4 < sum(alike) / (4 * len(alike)) < 0.75
