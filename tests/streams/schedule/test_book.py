"""Which job may run now, and why another may not: policies, clocks and crons, without a broker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.errors import UsageError
from streams.schedule.book import JobBook, changed, cron_job, drift_job, manual_job, retried
from streams.schedule.crons import last_fire, next_fire, trigger
from streams.schedule.policies import Policies, quiet_hours
from twin_store.messages import DriftTrip, SchedulePolicy, TrainingJob

NOON = datetime(2024, 7, 3, 12, tzinfo=UTC)  # a Wednesday


def policies(**by_segment: dict[str, Any]) -> Policies:
    found = Policies()
    for segment, fields in by_segment.items():
        name = segment.replace("_", "-")
        found.said[name] = SchedulePolicy.model_validate({"segment": name, "changed_at": NOON} | fields)
    return found


def book(*jobs: TrainingJob) -> JobBook:
    found = JobBook()
    found.jobs = {job.job_id: job for job in jobs}
    return found


def test_what_a_segment_leaves_open_all_says() -> None:
    said = policies(all={"cron": "0 3 * * *", "priority": 2}, regulars={"priority": 7})
    assert (said.of("regulars").cron, said.of("regulars").priority) == ("0 3 * * *", 7)
    assert said.of("occasional").priority == 2
    assert policies().of("regulars").cron == "none"


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"paused": True}, "paused"),
        ({"quiet": "08:00-18:30"}, "quiet until 2024-07-03T18:30:00Z"),
        ({"quiet": "20:00-13:00"}, "quiet until 2024-07-03T13:00:00Z"),
        ({"quiet": "20:00-06:00"}, None),
        ({"decider": "vllm", "gpu_budget_s": 0.0}, "the day's GPU budget is spent"),
        ({"on_drift": False}, None),
    ],
)
def test_a_policy_lets_a_job_wait_and_says_why(policy: dict[str, Any], reason: str | None) -> None:
    said = policies(all=policy)
    job = cron_job("regulars", NOON, said)
    found, reasons = book(job).next(said, NOON)
    assert reasons.get(job.job_id) == reason
    assert (found is None) == (reason is not None)
    by_hand = manual_job("occasional", "r1", NOON, said)
    assert book(job, by_hand).next(said, NOON)[0] in (job, by_hand), "who asks by hand means now"


def test_the_budget_counts_the_seconds_of_the_day_that_a_model_was_trained() -> None:
    said = policies(all={"decider": "vllm", "gpu_budget_s": 3_600.0})
    ran = changed(
        cron_job("occasional", NOON - timedelta(hours=13), said),
        status="succeeded",
        started_at=NOON - timedelta(hours=12, minutes=30),
        ended_at=NOON - timedelta(hours=11, minutes=30),
    )
    assert book(ran).gpu_s(NOON) == 1_800  # half of it was yesterday
    job = cron_job("regulars", NOON, said)
    assert book(ran, job).next(said, NOON)[0] == job


def test_a_segment_rests_after_a_training_and_the_urgent_come_first() -> None:
    said = policies(all={"cooldown_h": 6.0}, coupon_users={"priority": 9})
    ran = changed(cron_job("regulars", NOON, said), status="rejected", ended_at=NOON - timedelta(hours=5))
    again = cron_job("regulars", NOON + timedelta(minutes=1), said)
    plain, urgent = cron_job("occasional", NOON, said), cron_job("coupon-users", NOON, said)
    found, reasons = book(ran, again, plain, urgent).next(said, NOON)
    assert found == urgent
    assert reasons == {again.job_id: "cools down until 2024-07-03T13:00:00Z"}
    assert book(ran, again).next(said, NOON + timedelta(hours=2))[0] == again


def test_what_raises_a_job_gives_it_its_id_so_it_is_raised_once() -> None:
    said = policies()
    trip = DriftTrip(
        segment="regulars", window_start=NOON - timedelta(days=7), window_end=NOON, measure="performance",
        sizes={"gap_z": -7.0}, samples=900,
    )  # fmt: skip
    first = drift_job(trip, NOON, said)
    known = book(first)
    assert known.raised(drift_job(trip, NOON + timedelta(hours=1), said)) is None
    merged = known.raised(cron_job("regulars", NOON, said))
    assert merged is not None
    assert (merged.status, merged.reason) == ("merged", f"{first.job_id} was open already")
    assert known.raised(cron_job("occasional", NOON, said)) is not None
    assert "gap_z -7" in (first.reason or "")


def test_a_job_that_fails_is_tried_again_later_and_in_the_end_has_failed() -> None:
    said = policies()
    job = changed(cron_job("regulars", NOON, said), status="running", attempt=1)
    waiting = retried(job, "the lake is away", 2, NOON)
    assert waiting.status == "waiting"
    assert book(waiting).next(said, NOON)[0] is None
    assert book(waiting).next(said, NOON + timedelta(seconds=31))[0] == waiting
    failed = retried(changed(waiting, status="running", attempt=2), "the lake is away", 2, NOON)
    assert (failed.status, failed.reason) == ("failed", "the lake is away")


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6 *"])
def test_a_cron_that_never_fires_is_refused(expression: str) -> None:
    with pytest.raises(UsageError, match="never fires"):
        trigger(expression)


@pytest.mark.parametrize("expression", ["", "hello", "61 * * * *", "* * * *", "0 0 * * xyz"])
def test_what_is_no_cron_is_refused(expression: str) -> None:
    with pytest.raises(UsageError, match="five fields"):
        trigger(expression)


def test_a_clock_that_jumps_fires_each_moment_once() -> None:
    """Jobs are named by the moment that was due and not by the one at which it was noticed."""
    grace = timedelta(hours=1)
    for seen in (NOON + timedelta(minutes=5), NOON + timedelta(minutes=59), NOON + timedelta(minutes=1)):
        assert last_fire("0 12 * * *", seen, grace) == NOON
    assert last_fire("0 12 * * *", NOON + timedelta(hours=2), grace) is None, "beyond its grace"
    assert last_fire("*/10 * * * *", NOON + timedelta(hours=30, minutes=9), grace) == NOON + timedelta(
        hours=30
    )
    assert next_fire("0 12 * * *", NOON) == NOON + timedelta(days=1)


@pytest.mark.parametrize("text", ["8-18", "08:00-24:00", "08:00-08:00", "", "08:00–18:00"])
def test_hours_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="HH:MM-HH:MM"):
        quiet_hours(text)
