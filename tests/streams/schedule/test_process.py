"""Several schedulers: one leads, the other takes over, and a job that is asked for runs once, in a real child."""

from __future__ import annotations

import threading

import pytest

from streams.kafka import read_to_end
from streams.schedule import desk
from streams.schedule.process import run
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topic_admin import apply_topics
from streams.topics import AUDIT, DRIFT, JOBS, SCHEDULE
from tests.streams.running import eventually, running
from twin_store.messages import TrainingJob
from twin_store.messages.codec import decode

pytestmark = pytest.mark.broker
PATIENCE_S = 120.0


def scheduler(settings: Settings, stop: threading.Event, member: str) -> None:
    run(settings, stop, member, Telemetry(f"scheduler-{member}", settings))


def test_one_leads_and_the_other_takes_over(settings: Settings) -> None:
    settings = settings.model_copy(update={"session_timeout_ms": 6_000})
    apply_topics(settings, topics=[JOBS, SCHEDULE, DRIFT, AUDIT])

    def is_over(count: int) -> bool:
        return sum(job.status == "failed" for job in desk.jobs(settings)) == count

    with running(lambda stop: scheduler(settings, stop, "1")):
        with running(lambda stop: scheduler(settings, stop, "0")):
            desk.ask_for(settings, "regulars", "r1", "")
            eventually(lambda: is_over(1), "the first job", PATIENCE_S)
        desk.ask_for(settings, "occasional", "r2", "")
        eventually(lambda: is_over(2), "the second job", PATIENCE_S)
    for job in desk.jobs(settings):
        assert job.attempt == 1, "what cannot succeed is not tried again"
        assert "no model to challenge yet" in (job.reason or "")
    ends = [decode(TrainingJob, message.value()) for message in read_to_end(settings, JOBS)]
    assert sum(job.status == "failed" for job in ends) == 2, "each ended once"
