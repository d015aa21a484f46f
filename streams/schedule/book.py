"""The jobs by id, and which of them may run now. No clock and no I/O: whoever asks says what time it is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from confluent_kafka import Message

from streams.schedule.policies import Policies
from streams.tables import newest
from twin_store.messages import DriftTrip, TrainingJob
from twin_store.messages.base import format_instant
from twin_store.messages.codec import decode

OPEN = ("waiting", "running")
RETRY_FIRST = timedelta(seconds=30)  # doubles with every attempt


class JobBook:
    """Every job that the topic still holds."""

    def __init__(self) -> None:
        self.jobs: dict[str, TrainingJob] = {}

    def take(self, messages: Iterable[Message]) -> None:
        """Take records in order. What does not fit its contract says nothing."""
        for job_id, job in newest(messages, lambda value: decode(TrainingJob, value)).items():
            if job is None:
                self.jobs.pop(job_id, None)
            else:
                self.jobs[job_id] = job

    def open_of(self, segment: str) -> TrainingJob | None:
        """The job of a segment that waits or runs, if any."""
        mine = (job for job in self.jobs.values() if job.segment == segment and job.status in OPEN)
        return min(mine, key=lambda job: job.due_at, default=None)

    def raised(self, job: TrainingJob) -> TrainingJob | None:
        """The job as it is to be written down: merged into an open one of its segment; None if it is known."""
        if job.job_id in self.jobs:
            return None
        other = self.open_of(job.segment)
        if other is None:
            return job
        return changed(job, status="merged", ended_at=job.due_at, reason=f"{other.job_id} was open already")

    def next(self, policies: Policies, now: datetime) -> tuple[TrainingJob | None, dict[str, str]]:
        """The job to run now, and why each of the others that wait does not: by id, a sentence."""
        reasons: dict[str, str] = {}
        ready = []
        for job in self.jobs.values():
            if job.status != "waiting":
                continue
            reason = self._reason_against(job, policies, now)
            if reason is None:
                ready.append(job)
            else:
                reasons[job.job_id] = reason
        ready.sort(key=lambda job: (-policies.of(job.segment).priority, job.due_at, job.job_id))
        return (ready[0] if ready else None), reasons

    def gpu_s(self, now: datetime) -> float:
        """Seconds that language models were trained since midnight, UTC."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        spans = (
            (max(job.started_at, midnight), job.ended_at or job.heartbeat_at or job.started_at)
            for job in self.jobs.values()
            if job.decider == "vllm" and job.started_at is not None
        )
        return sum(max(0.0, (end - start).total_seconds()) for start, end in spans)

    def history(self) -> list[TrainingJob]:
        """All, the newest first."""
        return sorted(self.jobs.values(), key=lambda job: (job.due_at, job.job_id), reverse=True)

    def _reason_against(self, job: TrainingJob, policies: Policies, now: datetime) -> str | None:
        policy = policies.of(job.segment)
        if job.not_before is not None and now < job.not_before:
            return f"tried again at {format_instant(job.not_before)}"
        if job.trigger == "manual":
            return None  # who asks by hand means now
        if policy.paused:
            return "paused"
        if job.trigger == "drift" and not policy.on_drift:
            return "drift trains nothing here"
        over = policy.quiet_until(now)
        if over is not None:
            return f"quiet until {format_instant(over)}"
        rested = self._rested_at(job, policy.cooldown_h)
        if rested is not None and now < rested:
            return f"cools down until {format_instant(rested)}"
        if job.decider == "vllm" and self.gpu_s(now) >= policy.gpu_budget_s:
            return "the day's GPU budget is spent"
        return None

    def _rested_at(self, job: TrainingJob, cooldown_h: float) -> datetime | None:
        ends = [
            other.ended_at
            for other in self.jobs.values()
            if other.segment == job.segment and other.status in ("succeeded", "rejected") and other.ended_at
        ]
        return max(ends) + timedelta(hours=cooldown_h) if ends else None


def changed(job: TrainingJob, **fields: Any) -> TrainingJob:
    """The job with other fields, checked again."""
    return TrainingJob.model_validate(job.model_dump() | fields)


def cron_job(segment: str, at: datetime, policies: Policies) -> TrainingJob:
    """What a cron raises: one job a segment and moment."""
    return _job(f"cron-{segment}-{_stamp(at)}", segment, "cron", at, policies)


def drift_job(trip: DriftTrip, at: datetime, policies: Policies) -> TrainingJob:
    """What a trip raises: one job a segment and window."""
    named = ", ".join(f"{name} {size:g}" for name, size in list(trip.sizes.items())[:4])
    job = _job(f"drift-{trip.segment}-{_stamp(trip.window_end)}", trip.segment, "drift", at, policies)
    return changed(job, reason=f"drift: {named}")


def manual_job(segment: str, request: str, at: datetime, policies: Policies) -> TrainingJob:
    """What a person asks for."""
    return _job(f"manual-{segment}-{request}", segment, "manual", at, policies)


def retried(job: TrainingJob, reason: str, attempts: int, now: datetime) -> TrainingJob:
    """The job after an attempt that failed: it waits for the next one, or has failed for good."""
    if job.attempt >= attempts:
        return changed(job, status="failed", ended_at=now, reason=reason[:1_000])
    wait = RETRY_FIRST * 2 ** max(0, job.attempt - 1)
    return changed(job, status="waiting", not_before=now + wait, reason=reason[:1_000])


def _job(job_id: str, segment: str, trigger: str, at: datetime, policies: Policies) -> TrainingJob:
    policy = policies.of(segment)
    fields = {"job_id": job_id, "segment": segment, "trigger": trigger, "status": "waiting", "due_at": at}
    return TrainingJob.model_validate(fields | {"decider": policy.decider, "priority": policy.priority})


def _stamp(at: datetime) -> str:
    return at.strftime("%Y%m%dT%H%M%SZ")
