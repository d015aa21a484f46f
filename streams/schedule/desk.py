"""What people do to the schedule: policies and jobs by hand, each change with who and why in the audit."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from streams.errors import UsageError
from streams.kafka import Publisher, read_to_end
from streams.model_desk import person, write_audit
from streams.schedule import crons
from streams.schedule.book import JobBook, changed, manual_job
from streams.schedule.policies import ALL, NONE, Policies, must_be_schedulable, quiet_hours, segments
from streams.settings import Settings
from streams.topics import JOBS, SCHEDULE
from twin_store.messages import SchedulePolicy, TrainingJob
from twin_store.messages.base import format_instant
from twin_store.messages.codec import headers_for

SOURCE = "/twins/schedule"


def read_policies(settings: Settings) -> Policies:
    """The policies as they stand. Raises `KafkaReadError`."""
    policies = Policies()
    policies.take(read_to_end(settings, SCHEDULE))
    return policies


def jobs(settings: Settings) -> list[TrainingJob]:
    """All jobs, the newest first. Raises `KafkaReadError`."""
    book = JobBook()
    book.take(read_to_end(settings, JOBS))
    return book.history()


def change_policy(settings: Settings, segment: str, fields: dict[str, Any], why: str) -> SchedulePolicy:
    """Change these fields of a segment's policy, or of that of all.

    Raises:
        UsageError: there is no such segment, or a value makes no sense; nothing has changed.
    """
    must_be_schedulable(segment)
    if fields.get("cron", NONE) != NONE:
        crons.trigger(fields["cron"])
    if fields.get("quiet", NONE) != NONE:
        quiet_hours(fields["quiet"])
    if fields.get("decider", "evidence") not in ("evidence", "vllm"):
        raise UsageError(f"--decider {fields['decider']}: there are evidence, vllm")
    before = read_policies(settings).said.get(segment)
    known = {} if before is None else before.model_dump(exclude_none=True)
    policy = SchedulePolicy.model_validate(
        known | {"segment": segment} | fields | {"changed_at": datetime.now(UTC)}
    )
    with Publisher(settings) as publisher:
        headers = headers_for(policy, SOURCE, policy.changed_at)
        publisher.publish(SCHEDULE, segment.encode(), policy.to_wire(), headers)
    old = {name: getattr(before, name, None) for name in fields}
    said = ", ".join(f"{name} {value}" for name, value in fields.items())
    write_audit(settings, f"schedule/{segment}", "schedule", person(), why or said, str(old), str(fields))
    return policy


def ask_for(settings: Settings, segment: str, request: str, why: str) -> list[TrainingJob]:
    """A job by hand, or one of each segment for `all`. Raises `UsageError` for an unknown segment."""
    must_be_schedulable(segment)
    policies, now = read_policies(settings), datetime.now(UTC)
    wanted = segments() if segment == ALL else (segment,)
    raised = [manual_job(each, request, now, policies) for each in wanted]
    raised = [changed(job, reason=f"{person()}: {why or 'by hand'}") for job in raised]
    with Publisher(settings) as publisher:
        for job in raised:
            publisher.publish(JOBS, job.job_id.encode(), job.to_wire(), headers_for(job, SOURCE, now))
    for job in raised:
        write_audit(
            settings, f"schedule/{job.segment}", "run-now", person(), why or "by hand", None, job.job_id
        )
    return raised


def overview(settings: Settings, now: datetime) -> list[dict[str, Any]]:
    """A row a segment: its policy in force, when its cron fires next, what waits and what runs."""
    policies = read_policies(settings)
    known = jobs(settings)
    rows = []
    for segment in segments():
        policy = policies.of(segment)
        at = None if policy.cron == NONE else crons.next_fire(policy.cron, now)
        mine = [job for job in known if job.segment == segment]
        rows.append(
            {"segment": segment}
            | asdict(policy)
            | {
                "next": None if at is None else format_instant(at),
                "waiting": [
                    {"job": job.job_id, "reason": job.reason} for job in mine if job.status == "waiting"
                ],
                "running": next((job.job_id for job in mine if job.status == "running"), None),
            }
        )
    return rows
