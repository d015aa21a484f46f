"""What ops want of each segment, as the topic says it by now: what a segment leaves open, `all` says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, time, timedelta
from typing import Literal

from confluent_kafka import Message

from streams.errors import UsageError
from streams.tables import newest
from trainer.drift.rule import PSI_MAX, Z_MAX, Thresholds
from twin_store.messages import SchedulePolicy
from twin_store.messages.codec import decode
from twin_store.segments import load_definitions

ALL = "all"
NONE = "none"
QUIET = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Policy:
    """What is in force for one segment; see `SchedulePolicy`."""

    cron: str = NONE
    paused: bool = False
    decider: Literal["evidence", "vllm"] = "evidence"
    on_drift: bool = True
    quiet: str = NONE
    gpu_budget_s: float = 4 * 3_600
    priority: int = 5
    cooldown_h: float = 24.0
    timeout_s: float = 3_600
    attempts: int = 3
    psi_max: float = PSI_MAX
    performance_z: float = Z_MAX

    def quiet_until(self, now: datetime) -> datetime | None:
        """When the quiet hours that `now` lies in are over; None outside of them."""
        if self.quiet == NONE:
            return None
        start, end = quiet_hours(self.quiet)
        clock = now.astimezone(UTC)
        inside = start <= clock.time() < end if start < end else clock.time() >= start or clock.time() < end
        if not inside:
            return None
        over = clock.replace(hour=end.hour, minute=end.minute, second=0, microsecond=0)
        return over if over > clock else over + timedelta(days=1)


class Policies:
    """The newest policy of every segment that has one."""

    def __init__(self) -> None:
        self.said: dict[str, SchedulePolicy] = {}
        self.changes = 0  # grows with every record that was taken

    def take(self, messages: Iterable[Message]) -> None:
        """Take records in order. What does not fit its contract says nothing."""
        for segment, policy in newest(messages, lambda value: decode(SchedulePolicy, value)).items():
            self.changes += 1
            if policy is None:
                self.said.pop(segment, None)
            else:
                self.said[segment] = policy

    def of(self, segment: str) -> Policy:
        """What is in force for a segment."""
        found = Policy()
        for name in (ALL, segment):
            said = self.said.get(name)
            if said is not None:
                values = {f.name: getattr(said, f.name) for f in fields(Policy)}
                found = replace(found, **{name: value for name, value in values.items() if value is not None})
        return found

    def thresholds(self, segment: str) -> Thresholds:
        """When drift trips it."""
        policy = self.of(segment)
        return Thresholds(policy.psi_max, policy.performance_z)


def segments() -> tuple[str, ...]:
    """Every segment that can be trained."""
    return load_definitions().names


def must_be_schedulable(segment: str) -> None:
    """Raise `UsageError` unless it is a segment, or `all`."""
    if segment not in (ALL, *segments()):
        raise UsageError(f"there is no segment {segment!r}; there are {', '.join((ALL, *segments()))}")


def quiet_hours(text: str) -> tuple[time, time]:
    """Start and end of `HH:MM-HH:MM`. Raises `UsageError`."""
    found = QUIET.fullmatch(text)
    if found is None or found.group(1, 2) == found.group(3, 4):
        raise UsageError(f"quiet hours are HH:MM-HH:MM in UTC, such as 07:00-22:30, or none; not {text!r}")
    start_h, start_m, end_h, end_m = (int(part) for part in found.groups())
    return time(start_h, start_m), time(end_h, end_m)
