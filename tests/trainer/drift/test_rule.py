"""When a segment trips, and when not again; what two samples are apart."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from trainer.drift.performance import ChangeDetector, Tally
from trainer.drift.psi import psi, stability
from trainer.drift.rule import Reading, Thresholds, judged, reference_of, trips
from trainer.drift.snapshot import life_stages
from trainer.drift.visits import Visit, Visits


def windows(*shapes: str, version: str = "v1") -> list[Reading]:
    """`x` is beyond, `.` calm, `-` neither."""
    return [
        Reading(end, version, {}, beyond=["gap_z"] if shape == "x" else [], calm=shape == ".")
        for end, shape in enumerate("".join(shapes))
    ]


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ("..x", False),  # one window may be chance
        ("..xx", True),
        ("..x.x", False),
        ("..xxx", False),  # it has tripped
        ("..xx-xx", False),  # and has not been calm since
        ("..xx.xx", False),  # cooling down
        ("..xx....xx", True),
    ],
)
def test_two_windows_in_a_row_and_then_not_again_before_it_was_calm(shapes: str, expected: bool) -> None:
    assert trips(windows(shapes)) is expected


def test_a_version_that_is_new_is_watched_afresh() -> None:
    later = [Reading(9, "v2", {}, beyond=["gap_z"]), Reading(10, "v2", {}, beyond=["gap_z"])]
    assert trips([*windows("..xxx"), *later])


def test_what_is_beyond_names_the_largest_first_and_small_gaps_do_no_harm() -> None:
    sizes = {"psi.store": 0.3, "psi.hour": 0.01, "gap_z": -9.0}
    assert judged(sizes, -0.05, Thresholds()) == (["gap_z", "psi.store"], False)
    assert judged(sizes, -0.001, Thresholds()) == (["psi.store"], False)
    assert judged(sizes, -0.05, Thresholds(psi_max=0.5, performance_z=10)) == ([], False)
    assert judged({"psi.store": 0.02, "gap_z": 0.5}, 0.001, Thresholds()) == ([], True)


def test_the_first_windows_of_a_version_are_its_reference() -> None:
    mine = [Reading(end, "v1", {}, 1_000, (0.01 * end, 0.01), (0.0, 0.01)) for end in range(1, 5)]
    bad = Reading(9, "v1", {}, 1_000, (0.9, 0.01), (0.0, 0.01), beyond=["gap_z"])
    other = Reading(0, "v0", {}, 900, (0.9, 0.1), (0.9, 0.1))
    found = reference_of([other, bad, *mine], "v1")
    assert found is not None
    assert found.gap == pytest.approx((0.015, 0.01 / np.sqrt(2)))
    assert reference_of([other, mine[0]], "v1") is None


def test_equal_samples_have_no_index_and_empty_bins_do_not_explode() -> None:
    counts = {str(place): 100 for place in range(30)}
    assert psi(counts, counts, is_ordered=True) == 0
    assert 0 < psi(counts, {"29": 1_000}, is_ordered=True) < 10
    assert psi({"a": 500, "b": 500}, {"a": 500, "c": 500}, is_ordered=False) < 10
    with pytest.raises(ValueError, match="empty"):
        psi(counts, {}, is_ordered=True)


def test_too_few_trips_have_no_index() -> None:
    few, many = Visits(), Visits()
    for second in range(600):
        many.add(Visit(second * 997, 5.0, 1_000.0, 86_400.0, "s", None, None))
    few.add(Visit(0, 5.0, 1_000.0, None, "s", None, None))
    assert stability(many, few) == {}
    assert set(stability(many, many).values()) == {0.0}
    assert Visits.from_json(many.to_json()) == many


def test_errors_are_over_customers_and_not_over_options() -> None:
    """A hundred options of one customer are one opinion."""
    alike, apart = Tally(), Tally()
    for customer in range(20):
        truth = customer % 2
        alike.add(str(customer), [0.5] * 50, [truth] * 50)
    for customer in range(1_000):
        apart.add(str(customer), [0.5], [customer % 2])
    assert alike.options == apart.options == 1_000
    assert alike.mean(1)[1] == pytest.approx(apart.mean(1)[1] * np.sqrt(50), rel=0.05)
    assert apart.mean(2)[0] == pytest.approx(0.0)
    assert Tally().add_all([alike, apart]).options == 2_000


def test_the_detector_can_be_begun_anew_from_what_it_remembers() -> None:
    chance = np.random.default_rng(3)
    first = ChangeDetector()
    assert sum(first.add(value) for value in chance.normal(0, 0.1, 400).tolist()) == 0
    second = ChangeDetector(first.recent)
    assert sum(second.add(value) for value in chance.normal(-0.3, 0.1, 200).tolist()) > 0


def test_what_is_not_known_of_a_trip_is_in_no_bin() -> None:
    known = Visit(0, 5.0, 1_000.0, None, "s", "store", "parents").bins()
    assert {"store", "channel", "life_stage"} <= set(known)
    assert set(Visit(0, 5.0, 1_000.0, None, None, None, None).bins()) == {
        *("hour", "weekday", "basket_lines", "line_spend"),
    }


def test_life_stages_are_read_as_profiles_tell_them() -> None:
    customers = pl.DataFrame(
        {"customer_id": ["a", "b", "c"], "demographics": ['{"age": "45-54"}', None, '{"income": "50-74K"}']}
    )
    assert life_stages(customers) == {"a": "45-54"}
