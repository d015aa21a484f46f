"""The leader on the real broker: jobs are raised once, run one at a time, and survive whoever ran them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from streams.errors import UsageError
from streams.kafka import Publisher, read_to_end
from streams.schedule import desk
from streams.schedule.leader import Leader
from streams.schedule.pen import FencedError
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import AUDIT, DRIFT, JOBS, SCHEDULE
from tests.streams.running import eventually
from tests.streams.schedule.trainings import Trainings, candidate, endless, failing, with_result
from trainer.registry import Registry
from twin_store.messages import Audit, DriftTrip, TrainingJob
from twin_store.messages.codec import decode

pytestmark = pytest.mark.broker
SEGMENT = "regulars"


@pytest.fixture
def deployment(settings: Settings) -> Settings:
    apply_topics(settings, topics=[JOBS, SCHEDULE, DRIFT, AUDIT])
    return settings


@contextmanager
def leading(
    settings: Settings, trainings: Trainings, ahead: timedelta = timedelta(), name: str = "first"
) -> Iterator[Leader]:
    with closing(Leader(settings, name, trainings, lambda: datetime.now(UTC) + ahead)) as leader:
        yield leader


def until(leader: Leader, is_reached: Callable[[], bool], what: str) -> None:
    def step() -> bool:
        leader.step()
        return is_reached()

    eventually(step, what, 30.0)


def only_job(settings: Settings) -> TrainingJob:
    (job,) = desk.jobs(settings)
    return job


def audits(settings: Settings) -> list[Audit]:
    return [decode(Audit, message.value()) for message in read_to_end(settings, AUDIT)]


def ended(leader: Leader) -> Callable[[], bool]:
    return lambda: (
        bool(leader.book.jobs)
        and all(j.status not in ("waiting", "running") for j in leader.book.jobs.values())
    )


def test_what_passes_its_gate_answers_and_the_audit_says_why(deployment: Settings) -> None:
    desk.ask_for(deployment, SEGMENT, "r1", "they complain")
    with leading(deployment, Trainings(with_result(passed=True))) as leader:
        until(leader, ended(leader), "the end of the job")
    job = only_job(deployment)
    assert (job.status, job.attempt, job.verdict["challenger_auc"]) == ("succeeded", 1, 0.8)
    assert Registry(deployment.models).current(f"evidence/{SEGMENT}") == job.decider_version
    asked, promoted = audits(deployment)
    assert (asked.action, asked.why) == ("run-now", "they complain")
    assert (promoted.action, promoted.who, promoted.why) == ("promote", "scheduler", job.job_id)
    assert (promoted.before, promoted.after) == (None, job.decider_version)


def test_what_does_not_pass_answers_nobody(deployment: Settings) -> None:
    desk.ask_for(deployment, SEGMENT, "r1", "")
    with leading(deployment, Trainings(with_result(passed=False))) as leader:
        until(leader, ended(leader), "the end of the job")
    assert only_job(deployment).status == "rejected"
    assert Registry(deployment.models).current(f"evidence/{SEGMENT}") is None


def test_a_segment_with_too_little_is_not_tried_again(deployment: Settings) -> None:
    desk.ask_for(deployment, SEGMENT, "r1", "")
    with leading(deployment, Trainings(failing(2, "twins: regulars has 3 customers"))) as leader:
        until(leader, ended(leader), "the end of the job")
    job = only_job(deployment)
    assert (job.status, job.attempt, job.reason) == ("failed", 1, "twins: regulars has 3 customers")


@pytest.mark.parametrize("words", ["twins: the lake cannot be read", "twins: No space left on device"])
def test_what_may_pass_is_tried_again_and_then_given_up(deployment: Settings, words: str) -> None:
    desk.change_policy(deployment, SEGMENT, {"attempts": 2}, "")
    desk.ask_for(deployment, SEGMENT, "r1", "")
    trainings = Trainings(failing(1, words))
    with leading(deployment, trainings) as leader:
        until(leader, lambda: only_job(deployment).not_before is not None, "the first attempt")
        assert only_job(deployment).status == "waiting"
    with leading(deployment, trainings, ahead=timedelta(hours=1)) as leader:
        until(leader, ended(leader), "the last attempt")
    job = only_job(deployment)
    assert (job.status, job.attempt, job.reason) == ("failed", 2, words)
    assert len(trainings.started) == 2


def test_a_folder_that_cannot_be_written_defers_the_job(deployment: Settings) -> None:
    def full(_settings: Settings, _job: TrainingJob) -> None:
        raise OSError(28, "No space left on device")

    desk.ask_for(deployment, SEGMENT, "r1", "")
    with closing(Leader(deployment, "first", full)) as leader:  # type: ignore[arg-type]
        until(leader, lambda: only_job(deployment).not_before is not None, "that it is put off")
    job = only_job(deployment)
    assert (job.status, job.attempt) == ("waiting", 1)
    assert "No space left" in (job.reason or "")


def test_a_broken_result_is_not_promoted(deployment: Settings) -> None:
    def broken(training: object) -> int:
        (training.folder / "result.json").write_text('{"version": 1}')  # type: ignore[attr-defined]
        return 0

    desk.ask_for(deployment, SEGMENT, "r1", "")
    with leading(deployment, Trainings(broken)) as leader:  # type: ignore[arg-type]
        until(leader, lambda: only_job(deployment).not_before is not None, "that it is put off")
    assert "is broken" in (only_job(deployment).reason or "")


def test_a_version_that_was_tampered_with_is_not_promoted(deployment: Settings) -> None:
    def tampered(training: object) -> int:
        version = candidate(deployment, SEGMENT)
        training.leave(True, version)  # type: ignore[attr-defined]
        folder = deployment.data_dir / "models" / "evidence" / SEGMENT / version
        (folder / "a.txt").write_bytes(b"eno")
        return 0

    desk.ask_for(deployment, SEGMENT, "r1", "")
    with leading(deployment, Trainings(tampered)) as leader:  # type: ignore[arg-type]
        until(leader, lambda: only_job(deployment).not_before is not None, "that it is put off")
    assert "the hash differs" in (only_job(deployment).reason or "")
    assert Registry(deployment.models).current(f"evidence/{SEGMENT}") is None


def test_a_training_that_takes_too_long_is_ended(deployment: Settings) -> None:
    desk.change_policy(deployment, "all", {"timeout_s": 0.2, "attempts": 1}, "")
    desk.ask_for(deployment, SEGMENT, "r1", "")
    trainings = Trainings(endless)
    with leading(deployment, trainings) as leader:
        until(leader, ended(leader), "its end")
    assert trainings.started[0].stopped
    assert only_job(deployment).reason == "it took longer than 0.2 s"


def test_a_leader_that_is_gone_loses_no_job_and_cannot_write_any_more(deployment: Settings) -> None:
    desk.ask_for(deployment, SEGMENT, "r1", "")
    gone = Leader(deployment, "first", Trainings(endless))
    until(gone, lambda: gone.running is not None, "the start")
    trainings = Trainings(with_result(passed=True))
    with leading(deployment, trainings, name="second") as leader:
        until(leader, ended(leader), "the end of the job")
        with pytest.raises(FencedError):
            gone._write(gone.book.jobs[only_job(deployment).job_id])
    gone.close()
    job = only_job(deployment)
    assert (job.status, job.owner, job.attempt, len(trainings.started)) == ("succeeded", "second", 1, 1)
    assert [each.action for each in audits(deployment)].count("promote") == 1


def test_a_result_that_was_left_is_taken_up_and_not_trained_again(deployment: Settings) -> None:
    desk.ask_for(deployment, SEGMENT, "r1", "")
    gone = Leader(deployment, "first", Trainings(endless))
    until(gone, lambda: gone.running is not None, "the start")
    gone._run[1].leave(True, candidate(deployment, SEGMENT))  # type: ignore[index, attr-defined]
    trainings = Trainings(endless)
    with leading(deployment, trainings, name="second") as leader:
        until(leader, ended(leader), "the end of the job")
    gone.close()
    assert trainings.started == []
    assert only_job(deployment).status == "succeeded"


def test_a_trip_trains_its_segment_once(deployment: Settings) -> None:
    end = datetime(2024, 7, 1, tzinfo=UTC)
    trip = DriftTrip(
        segment=SEGMENT, window_start=end - timedelta(days=7), window_end=end, measure="performance",
        sizes={"gap_z": -9.0}, samples=800,
    )  # fmt: skip
    with Publisher(deployment) as publisher:
        for _ in range(2):
            publisher.publish(DRIFT, SEGMENT.encode(), trip.to_wire())
        publisher.publish(DRIFT, b"x", b"{")
    for _ in range(2):
        trainings = Trainings(with_result(passed=True))
        with leading(deployment, trainings) as leader:
            until(leader, ended(leader), "the end of the job")
    job = only_job(deployment)
    assert (job.trigger, job.status, len(trainings.started)) == ("drift", "succeeded", 0)


def test_a_schedule_changes_live_and_a_moment_is_trained_once(deployment: Settings) -> None:
    hours = timedelta(hours=2)
    trainings = Trainings(with_result(passed=False))
    with leading(deployment, trainings, ahead=hours) as leader:
        leader.step()
        assert leader.book.jobs == {}
        desk.change_policy(deployment, SEGMENT, {"cron": "* * * * *", "quiet": "00:00-23:59"}, "at night")
        until(leader, lambda: bool(leader.book.jobs), "the cron")
        until(leader, lambda: "quiet" in (only_job(deployment).reason or ""), "the quiet hours")
        assert trainings.started == []
        desk.change_policy(deployment, SEGMENT, {"quiet": "none", "cron": "none"}, "now")
        until(leader, ended(leader), "the end of the job")
    with leading(deployment, trainings, ahead=hours) as leader:
        for _ in range(3):
            leader.step()
    assert only_job(deployment).trigger == "cron"
    assert len(trainings.started) == 1
    assert [(a.subject, a.why) for a in audits(deployment)] == [
        ("schedule/regulars", "at night"),
        ("schedule/regulars", "now"),
    ]


def test_nonsense_is_refused_and_changes_nothing(deployment: Settings) -> None:
    for segment, fields in (
        ("horses", {"paused": True}),
        (SEGMENT, {"cron": "0 0 30 2 *"}),
        (SEGMENT, {"quiet": "25:00-26:00"}),
        (SEGMENT, {"decider": "oracle"}),
    ):
        with pytest.raises(UsageError):
            desk.change_policy(deployment, segment, fields, "")
    assert desk.read_policies(deployment).said == {}
    assert audits(deployment) == []
    assert json.dumps(desk.overview(deployment, datetime.now(UTC)))
