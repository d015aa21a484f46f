"""What the scheduler that leads does: raise jobs, run one at a time, promote what passed its gate.

Everything is written down before it is acted on, by a pen that whoever leads next takes away. Killed at any point, the
next leader finds the job open: it takes up a result that is there, or runs it again.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Message

from streams.errors import TwinsError
from streams.model_desk import ModelDesk
from streams.schedule import crons
from streams.schedule.book import JobBook, changed, cron_job, drift_job, retried
from streams.schedule.pen import Pen
from streams.schedule.policies import NONE, Policies, segments
from streams.schedule.runs import WRONG_USAGE, Run, folder_of, last_words, read_result
from streams.settings import Settings
from streams.tables import GlobalTable
from streams.topics import DRIFT, JOBS, SCHEDULE
from twin_store.messages import DriftTrip, TrainingJob
from twin_store.messages.codec import BadMessage, decode

WHO = "scheduler"
HEARTBEAT_S = 10.0
MISFIRE_GRACE = timedelta(hours=1)
TRIP_GRACE = timedelta(days=7)  # a trip that nobody saw for so long is of another time
_log = logging.getLogger(__name__)


class Leader:
    """One term of office. `close` ends its training; the next leader goes on."""

    def __init__(
        self,
        settings: Settings,
        owner: str,
        start: Callable[[Settings, TrainingJob], Run],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Raises `TwinsError` if Kafka does not answer."""
        self.policies = Policies()
        self.book = JobBook()
        self._settings, self._owner, self._start, self._now = settings, owner, start, now
        self._pen = Pen(settings)
        self._trips: list[tuple[datetime, DriftTrip]] = []
        self._fired: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._tables = [
            GlobalTable(settings, SCHEDULE, self.policies.take),
            GlobalTable(settings, JOBS, self.book.take),
            GlobalTable(settings, DRIFT, self._take_trips),
        ]
        for table in self._tables:
            table.load()
        self._clock = _clock()
        self._run: tuple[TrainingJob, Run, float] | None = None
        self._seen_changes = -1
        self._reasons: dict[str, str] = {}
        self._heard = time.monotonic()
        self._take_over()

    @property
    def running(self) -> TrainingJob | None:
        """The job under way."""
        return None if self._run is None else self._run[0]

    def step(self) -> None:
        """One look at everything. Raises `FencedError` once another leads."""
        for table in self._tables:
            table.poll()
        if self.policies.changes != self._seen_changes:
            self._set_crons()
        self._raise_due()
        if self._run is None:
            self._begin_next()
        else:
            self._tend(*self._run)

    def close(self) -> None:
        """Stop; the training under way ends and its job stays open for the next leader."""
        self._clock.shutdown(wait=False)
        if self._run is not None:
            self._run[1].stop()
        for table in self._tables:
            table.close()

    def _take_over(self) -> None:
        """Jobs that were under way when the leader before was gone: their results, or they wait again."""
        for job in list(self.book.jobs.values()):
            if job.status == "running":
                self._end_of(job, None, f"the scheduler {job.owner} that ran it was gone")

    def _take_trips(self, messages: Iterable[Message]) -> None:
        for message in messages:
            try:
                trip = decode(DriftTrip, message.value())
            except BadMessage as error:
                _log.warning("a trip is passed over: %s", error)
                continue
            arrived = datetime.fromtimestamp(message.timestamp()[1] / 1_000, UTC)
            self._trips.append((arrived, trip))

    def _set_crons(self) -> None:
        """APScheduler's jobs as the policies say, each at most once at a time."""
        self._seen_changes = self.policies.changes
        self._clock.remove_all_jobs()
        for segment in segments():
            cron = self.policies.of(segment).cron
            if cron == NONE:
                continue
            try:
                trigger = crons.trigger(cron)
            except TwinsError as error:
                _log.warning("the schedule of %s is passed over: %s", segment, error)
                continue
            self._clock.add_job(self._fired.put, trigger, args=[segment], id=segment)
            self._fired.put(segment)  # what was missed while nobody led, within its grace

    def _raise_due(self) -> None:
        raised: list[TrainingJob] = []
        now = self._now()
        while not self._fired.empty():
            segment = self._fired.get()
            cron = self.policies.of(segment).cron
            at = None if cron == NONE else crons.last_fire(cron, now, MISFIRE_GRACE)
            said = self.policies.said.get(segment) or self.policies.said.get("all")
            if at is not None and said is not None and at >= said.changed_at:
                raised.append(cron_job(segment, at, self.policies))
        trips, self._trips = self._trips, []
        for arrived, trip in trips:
            if now - arrived <= TRIP_GRACE and trip.segment in segments():
                raised.append(drift_job(trip, arrived, self.policies))
        for job in raised:
            new = self.book.raised(job)
            if new is not None:
                _log.info("%s: %s", new.job_id, new.status)
                self._write(new)

    def _begin_next(self) -> None:
        now = self._now()
        job, reasons = self.book.next(self.policies, now)
        for job_id, reason in reasons.items():
            if self.book.jobs[job_id].reason != reason and self._reasons.get(job_id) != reason:
                self._reasons[job_id] = reason
                self._write(changed(self.book.jobs[job_id], reason=reason))
        if job is None:
            return
        began = changed(
            job,
            status="running",
            attempt=job.attempt + 1,
            owner=self._owner,
            started_at=now,
            heartbeat_at=now,
        )
        self._write(began)
        try:
            run = self._start(self._settings, began)
        except OSError as error:
            self._failed(began, f"it could not be started: {error}")
            return
        self._run = (began, run, time.monotonic())
        self._heard = time.monotonic()

    def _tend(self, job: TrainingJob, run: Run, began: float) -> None:
        code = run.poll()
        if code is not None:
            self._run = None
            self._end_of(job, code, last_words(run.folder) or f"it ended with code {code} and said nothing")
        elif time.monotonic() - began > self.policies.of(job.segment).timeout_s:
            run.stop()
            self._run = None
            self._failed(job, f"it took longer than {self.policies.of(job.segment).timeout_s:g} s")
        elif time.monotonic() - self._heard > HEARTBEAT_S:
            self._heard = time.monotonic()
            alive = changed(job, heartbeat_at=self._now())
            self._write(alive)
            self._run = (alive, run, began)

    def _end_of(self, job: TrainingJob, code: int | None, reason: str) -> None:
        """A training is over, or its scheduler is: `code` is None where that is not known."""
        try:
            result = read_result(folder_of(self._settings, job)) if code in (0, None) else None
        except TwinsError as error:
            self._failed(job, str(error))
            return
        if result is not None:
            self._finish(job, result)
        elif code == WRONG_USAGE:
            self._write(changed(job, status="failed", ended_at=self._now(), reason=reason[:1_000]))
        elif code is None:
            self._write(
                changed(job, status="waiting", attempt=max(0, job.attempt - 1), reason=reason[:1_000])
            )
        else:
            self._failed(job, reason)

    def _finish(self, job: TrainingJob, result: dict[str, Any]) -> None:
        """A challenger was made: promote it if its gate says so."""
        verdict, version = result["verdict"], result["version"]
        if verdict["passed"]:
            self._write(changed(job, heartbeat_at=self._now()))  # still ours? nobody may promote who is not
            try:
                ModelDesk(self._settings, WHO).promote(
                    f"{job.decider}/{job.segment}", version, f"{job.job_id}"
                )
            except TwinsError as error:
                self._failed(job, f"{version} passed its gate and could not be promoted: {error}")
                return
        self._write(
            changed(
                job,
                status="succeeded" if verdict["passed"] else "rejected",
                ended_at=self._now(),
                decider_version=version,
                reason=verdict.get("reason", "")[:1_000],
                verdict=_numbers(verdict),
            )
        )

    def _failed(self, job: TrainingJob, reason: str) -> None:
        _log.warning("%s, attempt %d: %s", job.job_id, job.attempt, reason)
        self._write(retried(job, reason, self.policies.of(job.segment).attempts, self._now()))

    def _write(self, job: TrainingJob) -> None:
        self._pen.write(job)
        self.book.jobs[job.job_id] = job


def _clock() -> Any:
    """APScheduler in memory: which moments there are is durable elsewhere, and a job store would pickle."""
    from apscheduler.schedulers.background import BackgroundScheduler

    found = BackgroundScheduler(
        timezone=UTC,
        job_defaults={
            "coalesce": True,
            "max_instances": 1,
            "misfire_grace_time": int(MISFIRE_GRACE.total_seconds()),
        },
    )
    found.start()
    return found


def _numbers(verdict: dict[str, Any]) -> dict[str, float]:
    """The verdict's numbers over all kinds."""
    found = verdict.get("kinds", {}).get("all", {})
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
