"""The numbers a segment is told by, against the same numbers counted slowly."""

import math
from statistics import mean

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.retail import at, sale, second, twin_of
from twin_store.catalogue import Catalogue
from twin_store.dna.layout import H_FIRST_SECOND
from twin_store.dna.twin import Twin
from twin_store.messages import Transaction
from twin_store.messages.codec import FIRST_MONDAY
from twin_store.segments.numbers import NUMBER_NAMES, PERIOD_DAYS, end_of, last_period, numbers_at

DAY = 86_400
SKUS = ("a", "b", "c", "d")
OWN = {"a": True, "b": False, "c": None}
CATALOGUE = Catalogue.from_frame(
    pl.DataFrame({"sku": list(OWN), "name": list(OWN), "private_label": list(OWN.values())})
)
LAST = last_period(second(140))
FIRST_DAY = (end_of(LAST) + 1) // DAY - second(
    0
) // DAY  # the day after the last period, as `retail` counts days

LINES = st.lists(
    st.fixed_dictionaries(
        {"sku": st.sampled_from(SKUS), "net": st.sampled_from(["1.00", "2.50"])},
        optional={"discount": st.just("0.50"), "coupon_discount": st.just("0.25")},
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda line: line["sku"],
)
TRIPS = st.lists(st.tuples(st.integers(0, 139), LINES), max_size=15, unique_by=lambda trip: trip[0])


def read(twin: Twin, last: int = LAST, ends: int = 2, window: int = 2) -> list[dict[str, float]]:
    first_second = int(twin.head[H_FIRST_SECOND])
    rows = numbers_at(twin.cells, twin.visits, first_second, CATALOGUE.tables(), last, ends, window)
    return [dict(zip(NUMBER_NAMES, row.tolist(), strict=True)) for row in rows]


def test_periods_begin_on_mondays_and_end_before_the_next() -> None:
    assert last_period(end_of(700)) == 700
    assert last_period(end_of(700) - 1) == 699
    assert last_period(end_of(700) + PERIOD_DAYS * DAY - 1) == 700
    assert (end_of(700) + 1 - FIRST_MONDAY * DAY) % (PERIOD_DAYS * DAY) == 0
    assert at(0).weekday() == 0


@settings(deadline=None, max_examples=60)
@given(TRIPS)
def test_the_numbers_are_what_counting_by_hand_gives(trips: list[tuple[int, list[dict[str, str]]]]) -> None:
    receipts = [sale(day, lines) for day, lines in sorted(trips, key=lambda trip: trip[0])]
    known = [receipt for receipt in receipts if receipt.occurred_at < at(FIRST_DAY)]
    for back, found in zip((1, 0), read(twin_of(known)), strict=True):
        expected = count_slowly(known, FIRST_DAY - PERIOD_DAYS * back, 2 * PERIOD_DAYS)
        assert found == pytest.approx(expected, nan_ok=True)


def count_slowly(receipts: list[Transaction], end: int, days: int) -> dict[str, float]:
    """All numbers of the `days` before day `end`."""
    inside = [r for r in receipts if at(end - days) <= r.occurred_at < at(end)]
    first = min((r.occurred_at for r in receipts), default=at(end))
    tenure = (at(end) - first).total_seconds() / DAY
    periods = min(2.0, max(tenure / PERIOD_DAYS, 1.0)) if receipts else 2.0
    lines = [line for r in inside for line in r.lines]
    count = len(lines) or math.nan
    cents = [round(100 * float(line.net or 0)) for line in lines]
    saved = sum(100 * float(line.discount) + 100 * float(line.coupon_discount) for line in lines)
    dates = sorted({r.occurred_at.date() for r in inside})
    return {
        "trips_month": len(dates) / periods,
        "spend_month": sum(cents) / periods,
        "basket_lines": mean(len(r.lines) for r in inside) if inside else math.nan,
        "basket_spend": sum(cents) / len(inside) if inside else math.nan,
        "deal_share": sum(float(x.discount) > 0 for x in lines) / count,
        "coupon_share": sum(float(x.coupon_discount) > 0 for x in lines) / count,
        "discount_share": saved / (sum(cents) + saved) if inside else math.nan,
        "variety": len({line.sku for line in lines}) / count,
        "weekend_share": sum(d.weekday() >= 5 for d in dates) / len(dates) if dates else math.nan,
        "own_brand_share": sum(bool(OWN.get(line.sku)) for line in lines) / count,
        "days_quiet": (at(end).date() - dates[-1]).days - 1 if dates else math.nan,
        "tenure": tenure if receipts else math.nan,
    }


def test_nothing_outside_the_window_counts() -> None:
    inside = [sale(FIRST_DAY - 1, ["a"]), sale(FIRST_DAY - 2 * PERIOD_DAYS, ["b"])]
    outside = [sale(FIRST_DAY, ["c"]), sale(FIRST_DAY - 2 * PERIOD_DAYS - 1, ["d"])]
    (with_more,) = read(twin_of([*outside, *inside]), ends=1)
    (alone,) = read(twin_of(inside), ends=1)
    tenure = {"tenure": math.nan}
    assert with_more | tenure == pytest.approx(alone | tenure, nan_ok=True)


def test_a_twin_without_receipts_has_no_numbers_but_nothing_bought() -> None:
    for found in read(Twin()):
        assert (found["trips_month"], found["spend_month"]) == (0, 0)
        assert np.isnan([value for name, value in found.items() if not name.endswith("_month")]).all()
