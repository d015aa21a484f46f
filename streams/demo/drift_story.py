"""The demo of the loop: one segment's behaviour breaks, and what is left to itself finds out, trains, judges and swaps.

Nobody tells the system which segment breaks, or when: this module publishes receipts, waits, and reads the topics.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streams.demo.broken_segment import broken, exchanged
from streams.demo.drift_report import Events, build_report
from streams.demo.stage import Say, Stage
from streams.demo.story import receipts_sold
from streams.errors import UsageError
from streams.kafka import read_to_end
from streams.schedule.desk import jobs
from streams.sources.complete_journey import CompleteJourney
from streams.sources.record import Record
from streams.sources.schedule import publish
from streams.tables import newest
from streams.topics import CATALOG, DRIFT, PROFILES, SEGMENT_MOVES
from twin_store.messages import SegmentMove
from twin_store.messages.codec import decode, epoch_seconds
from twin_store.segments import load_definitions

LEARNING = ("updater", "lake", "indexer")
LOOPING = ("planner", "worker", "settler", "drift", "scheduler")
SLOW = (
    12  # while a training runs time goes on so many times more slowly: it takes seconds, and a day is one too
)
OPEN = ("waiting", "running")
SOLD_FROM = 3  # nobody is asked about what hardly sells, and to embed all of it takes minutes


@dataclass(frozen=True)
class Plan:
    """How much of the year it takes; receipts before `train_until` are the past that the first model learns from."""

    segment: str = "everyday-shoppers"
    customers: int = 300
    train_until: datetime = datetime(2017, 7, 1, tzinfo=UTC)
    breaks_at: datetime = datetime(2017, 8, 7, tzinfo=UTC)
    until: datetime = datetime(2017, 9, 25, tzinfo=UTC)
    day_s: float = 0.9
    train_scale: float = 0.4

    def __post_init__(self) -> None:
        if not self.train_until < self.breaks_at < self.until:
            raise UsageError("the past must end before the break, and the break come before --until")
        if self.segment not in load_definitions().names:
            raise UsageError(
                f"there is no segment {self.segment!r}; there are {', '.join(load_definitions().names)}"
            )


def tell(plan: Plan, folder: Path, say: Say) -> dict[str, Any]:
    """Run it in `folder`/drift; returns the report, which is also in `folder`/drift-report.json, a picture beside it.

    Raises `TwinsError` if a part fails. Whether the result is good is the caller's to judge (`complaints`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(folder / "drift", say)
    journey = CompleteJourney()
    sold = {
        sku for sku, times in receipts_sold(journey, plan.until, plan.customers).items() if times >= SOLD_FROM
    }
    with stage:
        stage.start(LEARNING)
        _past(stage, plan, journey, sold)
        events = _live(stage, plan, journey, sold)
        with stage.phase("scores, and the same questions put to the model that was not swapped"):
            report = build_report(stage.settings, plan.segment, plan.breaks_at, plan.until, events)
    report |= {"customers": plan.customers, "phases_s": stage.phases}
    (folder / "drift-report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    from streams.demo.drift_picture import draw

    draw(report, folder / "drift-report.png")
    return report


def _past(stage: Stage, plan: Plan, journey: CompleteJourney, sold: set[bytes]) -> None:
    with stage.phase(f"the past: {plan.customers} customers until {plan.train_until:%Y-%m-%d}"):
        records = journey.records(until=plan.train_until, customers=plan.customers, displays=False)
        stage.wait_until_ready(["updater", "lake"])
        publish(stage.settings, (r for r in records if r.topic is not CATALOG or (r.key or b"") in sold))
        stage.wait_until_read(["updater", "lake"])
    with stage.phase("one evidence model for all, trained on the past"):
        until = f"{plan.train_until:%Y-%m-%d}"
        stage.run("train", "evidence", "--until", until, "--scale", str(plan.train_scale))
    with stage.phase("the processes that decide, the drift monitor and the scheduler"):
        stage.wait_until_read(["indexer"])
        stage.start_at_end("planner", [PROFILES])
        stage.start(LOOPING)
        stage.wait_until_ready(LOOPING)


def _live(stage: Stage, plan: Plan, journey: CompleteJourney, sold: set[bytes]) -> Events:
    weeks = journey.records(
        from_=plan.train_until, until=plan.until, customers=plan.customers, displays=False
    )
    news: Iterator[Record] = (record for record in weeks if record.topic is not CATALOG)
    break_second = epoch_seconds(plan.breaks_at)
    with stage.phase(f"live until {plan.breaks_at:%Y-%m-%d}: all is as it was"):
        before, news = _split(news, break_second)
        _stream(stage, before, plan.day_s)
        stage.wait_until_read(["updater"])
    whose = _members(stage, plan.segment)
    with stage.phase(
        f"from now on {len(whose)} {plan.segment} buy other products; until {plan.until:%Y-%m-%d}"
    ):
        changed = broken(news, whose, break_second, exchanged([sku.decode() for sku in sold]))
        _stream(stage, changed, plan.day_s)
        stage.wait_until_quiet([*LEARNING, *LOOPING])
    return Events.read(stage.settings, whose)


def _stream(stage: Stage, records: Iterator[Record], day_s: float) -> None:
    """Publish day by day; while a training is under way, slowly, so that its answers come at the old pace."""
    for day, some in itertools.groupby(records, key=lambda record: record.at_seconds // 86_400):
        stage.check()
        is_training = any(job.status in OPEN for job in jobs(stage.settings))
        publish(stage.settings, some, speed=86_400 / (day_s * (SLOW if is_training else 1)))
        if day % 7 == 0:  # so that what is measured is the loop and not a backlog
            stage.wait_until_read(["updater", "planner", "worker"])
        tripped = sum(1 for _ in read_to_end(stage.settings, DRIFT))
        at = datetime.fromtimestamp(day * 86_400, UTC)
        stage.say_how_far(f"{at:%Y-%m-%d}{', training' if is_training else ''}, {tripped} trips")


def _split(records: Iterator[Record], second: int) -> tuple[Iterator[Record], Iterator[Record]]:
    """What comes before a moment, and the rest; the first must be used up first."""
    rest: list[Record] = []

    def before() -> Iterator[Record]:
        for record in records:
            if record.at_seconds >= second:
                rest.append(record)
                return
            yield record

    def after() -> Iterator[Record]:
        yield from rest
        yield from records

    return before(), after()


def _members(stage: Stage, segment: str) -> set[str]:
    """The segment's customers as of now, as the moves tell it."""
    moves = newest(list(read_to_end(stage.settings, SEGMENT_MOVES)), lambda value: decode(SegmentMove, value))
    found = {customer for customer, move in moves.items() if move is not None and move.to_segment == segment}
    if not found:
        raise UsageError(f"nobody is in {segment}; choose another --segment or more --customers")
    return found


def complaints(report: dict[str, Any]) -> list[str]:
    """What is wrong with the result, a sentence each; nothing when all is well."""
    found = []
    if report["tripped_segment"] is None:
        return ["the broken segment did not trip"]
    if report["windows_to_trip"] > 3:
        found.append(f"it took {report['windows_to_trip']} windows to trip")
    if report["false_trips"]:
        found.append(f"{report['false_trips']} trips of segments that nobody had touched")
    if report["gate"] != "passed":
        found.append(f"no challenger passed its gate: {report['gate']}")
    if report["answers_lost"]:
        found.append(f"{report['answers_lost']} queries were answered never, or more than once")
    scores = [report[name] for name in ("score_broken", "score_after")]
    if None in scores or scores[1] <= scores[0]:
        found.append("the score did not recover")
    return found
