"""The report of the drift demo, from the topics alone: what tripped, what was trained, what became of the score."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from streams.demo.cases import Cases
from streams.demo.drift_scores import asked_again, by_week, of_period, scores
from streams.kafka import read_to_end
from streams.lake_decider import current_decider, history_until, products_of
from streams.schedule.desk import jobs
from streams.settings import Settings
from streams.topics import AUDIT, DRIFT, DRIFT_READINGS, PREDICTIONS
from twin_store.messages import Audit, DriftReading, DriftTrip, TrainingJob
from twin_store.messages.codec import decode


@dataclass(frozen=True)
class Events:
    """What the loop did. `trips` with the moment at which each was published."""

    whose: set[str]
    trips: list[tuple[datetime, DriftTrip]]
    readings: int
    jobs: list[TrainingJob]
    audits: list[Audit]

    @classmethod
    def read(cls, settings: Settings, whose: set[str]) -> Events:
        """From the topics. `whose` behaviour was broken."""
        trips = [
            (datetime.fromtimestamp(m.timestamp()[1] / 1_000, UTC), decode(DriftTrip, m.value()))
            for m in read_to_end(settings, DRIFT)
        ]
        readings = {
            (reading.segment, reading.window_end)
            for reading in (decode(DriftReading, m.value()) for m in read_to_end(settings, DRIFT_READINGS))
        }
        audits = [decode(Audit, m.value()) for m in read_to_end(settings, AUDIT)]
        return cls(whose, trips, len(readings), jobs(settings)[::-1], audits)


def build_report(
    settings: Settings, segment: str, breaks_at: datetime, until: datetime, events: Events
) -> dict[str, Any]:
    """Everything that the demo has measured."""
    cases = Cases.read(settings)
    settled = cases.settled()
    mine = [
        (at, trip) for at, trip in events.trips if trip.segment == segment and trip.window_end > breaks_at
    ]
    trip_at, trip = mine[0] if mine else (None, None)
    job = next((job for job in events.jobs if job.segment == segment and job.trigger == "drift"), None)
    promoted = next(
        (a for a in events.audits if a.subject == f"evidence/{segment}" and a.action == "promote"), None
    )
    swap = None if promoted is None else _swap(settings, promoted)
    customers = {case.query.customer_id for case in cases.cases}
    start = min((case.query.as_of for case in cases.cases), default=breaks_at)
    found: dict[str, Any] = {
        "broken_segment": segment,
        "broken_customers": len(events.whose),
        "broken_at": breaks_at.isoformat(),
        "tripped_segment": None if trip is None else trip.segment,
        "windows_to_trip": None if trip is None else _windows(breaks_at, trip),
        "tripped_by": None if trip is None else trip.measure,
        "trip_sizes": None if trip is None else trip.sizes,
        "false_trips": len(events.trips) - len(mine),
        "windows_read": events.readings,
        "segments_trained": dict(Counter(job.segment for job in events.jobs if job.started_at is not None)),
        "train_s": None if job is None else _seconds(job.started_at, job.ended_at),
        "challenger_auc": None if job is None else job.verdict.get("challenger_auc"),
        "champion_auc": None if job is None else job.verdict.get("champion_auc"),
        "gate": _gate(job),
        "gate_numbers": {} if job is None else job.verdict,
        "gate_reason": None if job is None else job.reason,
        "swap_ms": None if swap is None or promoted is None else _ms(promoted.at, swap[0]),
        "drift_to_swap_s": None if swap is None or trip_at is None else _seconds(trip_at, swap[0]),
        "answers_lost": _lost(cases),
        "queries": len(cases.cases),
    }
    swapped_at = until if swap is None else swap[1]
    periods = {
        "before": (start, breaks_at),
        "broken": (breaks_at, swapped_at),
        "after": (swapped_at, until + timedelta(days=1)),
    }
    for name, period in periods.items():
        measured = scores(of_period(settled, events.whose, period))
        others = scores(of_period(settled, customers - events.whose, period))
        found |= {f"score_{name}": measured["score"], f"live_{name}": measured, f"others_{name}": others}
    after = of_period(settled, events.whose, periods["after"])
    if after and swap is not None:
        products = products_of(history_until(settings, until))
        found["after_by_the_stale_champion"] = asked_again(
            settings, after, current_decider(settings, products)[0]
        )
    found["swapped_at"] = None if swap is None else swapped_at.isoformat()
    found["tripped_window_end"] = None if trip is None else trip.window_end.isoformat()
    found["weeks"] = by_week(settled, {segment: events.whose, "all others": customers - events.whose})
    return found


def _swap(settings: Settings, promoted: Audit) -> tuple[datetime, datetime] | None:
    """When the first answer of the promoted version came, and the moment that it was about."""
    from streams.decoding import FastDecoder
    from twin_store.messages import Prediction

    read = FastDecoder(Prediction, only=("version", "decider_version", "answered_at", "as_of"))
    said = [read(message.value()) for message in read_to_end(settings, PREDICTIONS)]
    by_it = [(each.answered_at, each.as_of) for each in said if each.decider_version == promoted.after]
    if not by_it:
        return None
    return min(by_it)[0], min(as_of for _, as_of in by_it)


def _windows(breaks_at: datetime, trip: DriftTrip) -> int:
    """How many windows had ended after the break, the one that tripped among them."""
    length = trip.window_end - trip.window_start
    return max(1, -(-(trip.window_end - breaks_at) // length))


def _gate(job: TrainingJob | None) -> str:
    if job is None:
        return "no job"
    return {"succeeded": "passed", "rejected": "not passed"}.get(job.status, f"{job.status}: {job.reason}")


def _lost(cases: Cases) -> int:
    unanswered = sum(case.prediction is None for case in cases.cases)
    return unanswered + (cases.answers_max > 1)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 2)


def _ms(start: datetime, end: datetime) -> float:
    return round((end - start).total_seconds() * 1_000, 1)
