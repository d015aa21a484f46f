"""The demo, phase by phase: the past is replayed and trained on, then the next weeks stream in with faults."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from streams.broker import DevBroker, free_port
from streams.demo.cases import Case, answers_of_one_query, read_cases
from streams.demo.freshness import FreshnessWatch
from streams.demo.picture import draw
from streams.demo.scores import STALE_DAYS, Options, asked_again, somebody_elses, stale
from streams.errors import TwinsError
from streams.live_profiles import live_profiles
from streams.positions import PositionReader, lag
from streams.processes import process_called
from streams.settings import Settings
from streams.sources.chaos import Chaos, ChaosReport, inject
from streams.sources.complete_journey import CompleteJourney
from streams.sources.schedule import Published, publish
from streams.supervisor import Supervisor, child_environment
from streams.topic_admin import apply_topics
from streams.topics import DEAD_LETTERS, TOPICS, TRANSACTIONS
from streams.verify import verify
from streams.worker.products import LiveProducts
from trainer.deciders.base import Decider
from trainer.deciders.evidence import EvidenceDecider
from trainer.fitted import DECIDER
from trainer.registry import Registry
from twin_store.dna.twin import Twin

INGESTING = ("updater", "lake", "indexer")
DECIDING = ("planner", "worker", "settler")
CATCH_UP_S = 300.0
QUIET_S = 6.0
POLL_S = 0.5
CHAOS = Chaos(duplicates=0.1, out_of_order=0.2, late_s=7 * 86_400, poison=0.01, seed=11)


@dataclass(frozen=True)
class Plan:
    """How much of the year the demo takes.

    Attributes:
        customers: how many of the 2,469 households.
        train_until: receipts before it are the past, which is trained on.
        until: receipts from `train_until` up to here stream in live.
        live_s: how long the live weeks are to take.
    """

    folder: Path
    customers: int = 250
    train_until: datetime = datetime(2017, 9, 1, tzinfo=UTC)
    until: datetime = datetime(2017, 10, 15, tzinfo=UTC)
    live_s: float = 75.0

    @property
    def speed(self) -> float:
        """Times real time."""
        return (self.until - self.train_until).total_seconds() / self.live_s


Say = Callable[[str], None]


@dataclass
class Story:
    """What happened so far, for the report."""

    plan: Plan
    settings: Settings
    say: Say
    phases: dict[str, float] = field(default_factory=dict)
    supervisors: list[Supervisor] = field(default_factory=list)

    def phase(self, name: str) -> Phase:
        """A phase, timed and announced."""
        return Phase(self, name)


@dataclass
class Phase:
    """Announces itself when it is entered, and says how long it took when it is left."""

    story: Story
    name: str
    started: float = 0.0

    def __enter__(self) -> Phase:
        self.started = time.monotonic()
        self.story.say(f"… {self.name}")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        took = time.monotonic() - self.started
        self.story.phases[self.name] = round(took, 2)
        if kind is None:
            self.story.say(f"✓ {self.name} ({took:.1f} s)")


def tell(plan: Plan, say: Say) -> dict[str, Any]:
    """Run the demo; returns the report, which is also in `report.json`, with the picture beside it.

    Raises `TwinsError` if a part fails. Whether the result is good is the caller's to judge (`complaints`).
    """
    shutil.rmtree(plan.folder, ignore_errors=True)
    data = plan.folder / "data"
    broker = DevBroker(data / "broker", free_port())
    settings = Settings(kafka_bootstrap=broker.bootstrap, data_dir=data, lake_flush_s=5, log_format="json")
    story = Story(plan, settings, say)
    try:
        return _tell(story, broker)
    finally:
        for supervisor in reversed(story.supervisors):
            supervisor.stop()
        broker.stop()


def _tell(story: Story, broker: DevBroker) -> dict[str, Any]:
    plan, settings = story.plan, story.settings
    journey = CompleteJourney()
    with story.phase("Kafka broker, topics and processes"):
        broker.start()
        apply_topics(settings)
        _start(story, INGESTING)
    with story.phase(f"the past: receipts of {plan.customers} customers until {plan.train_until:%Y-%m-%d}"):
        past = publish(
            settings, journey.records(until=plan.train_until, customers=plan.customers, displays=False)
        )
        began = time.monotonic()
        _wait_until_read(story, ("updater", "lake"))
        past_s = time.monotonic() - began + past.wall_s
    with story.phase("training the evidence models on the past"):
        _command(settings, "train", "evidence", "--until", f"{plan.train_until:%Y-%m-%d}")
    _start(story, DECIDING)
    with story.phase("the product index"):
        _wait_until_read(story, ("indexer",))
    chaos = ChaosReport()
    with (
        story.phase(
            f"live: the weeks until {plan.until:%Y-%m-%d}, with faults, at {plan.speed:,.0f} times real time"
        ),
        FreshnessWatch(settings) as watch,
    ):
        weeks = journey.records(
            from_=plan.train_until, until=plan.until, customers=plan.customers, displays=False
        )
        live = publish(settings, inject(weeks, CHAOS, chaos), speed=plan.speed)
        _wait_until_read(story, ("updater", "lake", *DECIDING))
        _wait_until_quiet(settings)
    with story.phase("every profile recomputed from the lake"):
        checked = verify(settings)
    with story.phase("scores"):
        freshness = watch.milliseconds()
        cases = read_cases(settings)
        report = _report(story, past, past_s, live, chaos, freshness, cases)
        report |= {
            "verify_divergent": checked.divergent,
            "verify_total": checked.total,
        }
        report |= _controls(settings, [case for case in cases if case.scored])
        report["phases_s"] = story.phases
    _write(plan, report, [case for case in cases if case.scored])
    return report


def _start(story: Story, names: Iterable[str]) -> None:
    supervisor = Supervisor(story.settings, [(name, "0") for name in names])
    supervisor.start()
    story.supervisors.append(supervisor)


def _tend(story: Story) -> None:
    """Notice processes that died: in the demo none may."""
    for supervisor in story.supervisors:
        for child in supervisor.tend():
            raise TwinsError(f"the {child.name} ended: {child.last_words()} (see {child.log})")


def _wait_until_read(story: Story, names: Iterable[str]) -> None:
    """Until these processes have committed everything they read."""
    reader = PositionReader(story.settings)
    deadline = time.monotonic() + CATCH_UP_S
    waiting = list(names)
    while waiting:
        _tend(story)
        waiting = [name for name in waiting if _lag_of(reader, name)]
        if waiting and time.monotonic() > deadline:
            raise TwinsError(f"{', '.join(waiting)} did not catch up within {CATCH_UP_S:.0f} s; see the logs")
        time.sleep(POLL_S if waiting else 0)


def _lag_of(reader: PositionReader, name: str) -> int:
    topics = process_called(name).reads
    return lag(reader.ends(topics), reader.committed(name, topics))


def _wait_until_quiet(settings: Settings) -> None:
    """Until no new record came on any topic for a while: chains of topics have run dry."""
    reader = PositionReader(settings)
    heard, ends = time.monotonic(), reader.ends(TOPICS)
    deadline = heard + CATCH_UP_S
    while time.monotonic() - heard < QUIET_S:
        if time.monotonic() > deadline:
            raise TwinsError(f"the topics did not come to rest within {CATCH_UP_S:.0f} s")
        time.sleep(POLL_S)
        now = reader.ends(TOPICS)
        if now != ends:
            heard, ends = time.monotonic(), now


def _command(settings: Settings, *arguments: str) -> None:
    """One `twins` command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments],
        env=child_environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise TwinsError(
            f"twins {' '.join(arguments)} failed: {(done.stderr or done.stdout).strip()[-2000:]}"
        )


def _report(
    story: Story,
    past: Published,
    past_s: float,
    live: Published,
    chaos: ChaosReport,
    freshness: np.ndarray,
    cases: list[Case],
) -> dict[str, Any]:
    settings = story.settings
    baskets = past.messages[TRANSACTIONS.name] + chaos.records
    answered = [c for c in cases if c.prediction is not None and c.prediction.status == "answered"]
    latency = np.array([c.prediction.latency_ms for c in answered if c.prediction is not None])
    options = Options.of([case for case in cases if case.scored])
    dead = sum(PositionReader(settings).ends([DEAD_LETTERS]).values())
    return {
        "customers": story.plan.customers,
        "baskets": baskets,
        "lines": past.lines + live.lines,
        "lines_per_s": round(past.lines / past_s),
        "twins": len(live_profiles(settings)),
        "queries": len(cases),
        "predictions": sum(case.prediction is not None for case in cases),
        "answers_of_one_query_max": answers_of_one_query(settings),
        "answered_share": round(len(answered) / len(cases), 4) if cases else 0.0,
        "freshness_ms_p50": _percentile(freshness, 50),
        "freshness_ms_p99": _percentile(freshness, 99),
        "answer_ms_p50": _percentile(latency, 50),
        "answer_ms_p99": _percentile(latency, 99),
        **options.summary(),
        "by_kind": {
            kind: Options.of([c for c in cases if c.scored and c.query.kind == kind]).summary()
            for kind in sorted({case.query.kind for case in cases})
        },
        "duplicates_injected": chaos.duplicates,
        "delayed_injected": chaos.delayed,
        "poison_injected": sum(chaos.poison.values()),
        "dead_lettered": _letters(settings),
        "dead_letter_offsets": dead,
    }


def _letters(settings: Settings) -> int:
    """Messages set aside, each origin once."""
    from streams.dead_letters import Selection, origin_of, read_letters

    return len({origin_of(letter) for letter in read_letters(settings, Selection())})


def _percentile(values: np.ndarray, q: float) -> float | None:
    return round(float(np.percentile(values, q)), 1) if len(values) else None


def _controls(settings: Settings, scored: list[Case]) -> dict[str, Any]:
    """The same questions about the same twins (to compare with), stale ones, and those of other customers."""
    decider, twins = _decider(settings), _twins(settings, scored)
    again = asked_again(scored, decider, lambda case: twins[case.query.customer_id])
    return {
        "auc_asked_again": again.summary()["auc"],
        f"auc_{STALE_DAYS}_days_stale": asked_again(scored, decider, stale(twins)).summary()["auc"],
        "auc_wrong_customer": asked_again(scored, decider, somebody_elses(twins)).summary()["auc"],
    }


def _decider(settings: Settings) -> Decider:
    """The version that answered live, over the same topics."""
    live = LiveProducts(settings)
    live.close()  # what it has read by now is all there is
    registry = Registry(settings.models)
    version = registry.current(DECIDER)
    if version is None:
        raise TwinsError("no model version answers; see the log of the worker")
    return EvidenceDecider.load(registry, version, live.products)


def _twins(settings: Settings, scored: list[Case]) -> dict[str, Twin]:
    """The twins of the customers asked about, from the lake."""
    from twin_store.batch_fold import fold, read
    from twin_store.lake import Lake

    stored = read(Lake(settings.lake), customers=sorted({case.query.customer_id for case in scored}))
    return {customer: fold(stored, customer) for customer in stored.customers}


def _write(plan: Plan, report: dict[str, Any], scored: list[Case]) -> None:
    options = Options.of(scored)
    (plan.folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if len(options.truths):
        title = f"{len(scored):,} live answers, settled by what {plan.customers} customers then bought"
        draw(options.probabilities, options.truths, options.settled_at, plan.folder / "report.png", title)


def complaints(report: dict[str, Any]) -> list[str]:
    """What is wrong with the result; nothing when all is well."""
    found = []
    if report["verify_divergent"]:
        found.append(f"{report['verify_divergent']} of {report['verify_total']} twins differ from the lake")
    if report["dead_lettered"] != report["poison_injected"]:
        found.append(
            f"{report['poison_injected']} messages were poisoned and {report['dead_lettered']} set aside"
        )
    if report["answers_of_one_query_max"] > 1:
        found.append("a query was answered more than once")
    if report["predictions"] != report["queries"]:
        found.append(f"{report['queries']} queries got {report['predictions']} answers")
    return found
