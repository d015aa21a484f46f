"""The demo, phase by phase: the past is replayed and trained on, then the next weeks stream in with faults."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from streams.demo import language
from streams.demo.campaign_desk import CampaignDesk
from streams.demo.cases import Cases
from streams.demo.controls import controls
from streams.demo.freshness import FreshnessWatch
from streams.demo.report import Measured, build_report
from streams.demo.scores import Options
from streams.demo.stage import Say, Stage, evidence_alone
from streams.errors import UsageError
from streams.lake_decider import current_decider, history_until, products_of
from streams.sources.chaos import Chaos, ChaosReport, inject
from streams.sources.complete_journey import CompleteJourney
from streams.sources.record import Record
from streams.sources.schedule import Published, publish
from streams.topics import CATALOG, PROFILES, TRANSACTIONS
from streams.verify import verify
from twin_store.messages.codec import instant_of

LEARNING = ("updater", "lake", "indexer")
DECIDING = ("planner", "worker", "settler")
PROMOTED_FROM = 3  # sales of a product: of what hardly sells, no display says anything, and there are many
CHAOS = Chaos(duplicates=0.1, out_of_order=0.2, late_s=7 * 86_400, poison=0.01, seed=11)


@dataclass(frozen=True)
class Plan:
    """How much of the year the demo takes.

    Attributes:
        customers: how many of the households, the same ones every time.
        train_until: receipts before it are the past, which is trained on.
        until: receipts from `train_until` up to here stream in live.
        live_s: seconds that the live weeks are to take.
        train_scale: how many cases to train on, times the usual.
        decider: who answers the live questions: `evidence`, or `vllm` with evidence in its stead.
        segments: those that get a language adapter each; the others are answered by the base.
        language_scale: cases and steps of the base and the adapters, times the usual.
    """

    customers: int = 300
    train_until: datetime = datetime(2017, 7, 1, tzinfo=UTC)
    until: datetime = datetime(2017, 9, 1, tzinfo=UTC)
    live_s: float = 90.0
    train_scale: float = 0.5
    decider: str = "evidence"
    segments: tuple[str, ...] = ()
    language_scale: float = 0.1

    def __post_init__(self) -> None:
        if self.until <= self.train_until:
            raise UsageError(f"--until {self.until:%Y-%m-%d} must come after --train-until")

    @property
    def speed(self) -> float:
        """Times real time."""
        return (self.until - self.train_until).total_seconds() / self.live_s


# A language model on a processor answers some fifty prompts a second: fewer people, and weeks that take longer.
USUAL_PLANS = {
    "evidence": Plan(),
    "vllm": Plan(
        customers=100,
        until=datetime(2017, 8, 1, tzinfo=UTC),
        live_s=180.0,
        decider="vllm",
        segments=("everyday-shoppers", "deal-seekers"),
    ),
}


def tell(plan: Plan, folder: Path, say: Say) -> dict[str, Any]:
    """Run the demo in `folder`; returns the report, which is also in `report.json`, with the picture beside it.

    Raises `TwinsError` if a part fails. Whether the result is good is the caller's to judge (`complaints`).
    """
    stage = Stage(folder, say, language.engine_settings if plan.decider == "vllm" else evidence_alone)
    journey = CompleteJourney()
    measured = Measured()
    sold = receipts_sold(journey, plan.until, plan.customers)
    with stage:
        stage.start(LEARNING)
        _replay_past(stage, plan, journey, sold, measured)
        _train(stage, plan)
        _stream_live(stage, plan, journey, sold, measured)
        report = _judge(stage, measured)
        report["adapters"] = language.verdicts(stage, plan.segments)
    report |= {"customers": plan.customers, "live_speed": round(plan.speed), "phases_s": stage.phases}
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def _replay_past(
    stage: Stage, plan: Plan, journey: CompleteJourney, sold: Counter[bytes], measured: Measured
) -> None:
    name = f"the past: {plan.customers} customers until {plan.train_until:%Y-%m-%d}, as fast as it goes"
    with stage.phase(name):
        records = journey.records(until=plan.train_until, customers=plan.customers, displays=False)
        stage.wait_until_ready(["updater", "lake"])
        began = time.monotonic()
        measured.past = publish(stage.settings, (r for r in records if _is_wanted(r, sold)))
        stage.wait_until_read(["updater"])
        measured.past_s = time.monotonic() - began
        stage.wait_until_read(["lake"])


def _train(stage: Stage, plan: Plan) -> None:
    until = f"{plan.train_until:%Y-%m-%d}"
    evidence = ("train", "evidence", "--until", until, "--scale", str(plan.train_scale))
    if plan.decider == "vllm":
        of_language = (plan.train_until, plan.language_scale)
        with stage.phase("evidence models and a language base trained on the past, side by side"):
            stage.run_together(evidence, language.base_training(stage, *of_language))
        with stage.phase(f"language adapters for {' and '.join(plan.segments)}, side by side"):
            stage.run_together(
                *(language.adapter_training(stage, segment, *of_language) for segment in plan.segments)
            )
    else:
        with stage.phase("evidence models trained on the past"):
            stage.run(*evidence)
    with stage.phase("the product index, and the processes that decide"):
        stage.wait_until_read(["indexer"])
        # Questions are asked from now on: those about the past would be answered from what was trained on.
        stage.start_at_end("planner", [PROFILES])
        stage.start(DECIDING)
        stage.wait_until_ready(DECIDING)
    if plan.decider == "vllm":
        language.release(stage, plan.segments)


def _stream_live(
    stage: Stage, plan: Plan, journey: CompleteJourney, sold: Counter[bytes], measured: Measured
) -> None:
    name = f"live until {plan.until:%Y-%m-%d}, {plan.speed:,.0f} times real time, with faults"
    with stage.phase(name), FreshnessWatch(stage.settings) as watch:
        measured.chaos = ChaosReport()
        weeks = journey.records(
            from_=plan.train_until,
            until=plan.until,
            customers=plan.customers,
            promoted=[sku.decode() for sku, times in sold.items() if times >= PROMOTED_FROM],
        )
        desk = CampaignDesk(stage.settings, plan.train_until + (plan.until - plan.train_until) / 2)
        news = (record for record in weeks if record.topic is not CATALOG)

        def progress(done: Published) -> None:
            stage.check()
            if done.last_at is not None:
                desk.tick(done.last_at)
                stage.say_how_far(f"{instant_of(done.last_at):%Y-%m-%d}")

        measured.live = publish(
            stage.settings, inject(news, CHAOS, measured.chaos), speed=plan.speed, on_progress=progress
        )
        stage.wait_until_quiet([*LEARNING, *DECIDING])
        measured.freshness_ms = watch.milliseconds()


def _judge(stage: Stage, measured: Measured) -> dict[str, Any]:
    with stage.phase("every twin recomputed from the lake"):
        checked = verify(stage.settings)
    with stage.phase("scores, and the same questions about other twins"):
        cases = Cases.read(stage.settings)
        report = build_report(stage.settings, measured, cases)
        report |= {"verify_divergent": checked.divergent, "verify_total": checked.total}
        settled = cases.settled()
        if settled:
            products = products_of(history_until(stage.settings, settled[-1].query.as_of + timedelta(days=1)))
            decider, _ = current_decider(stage.settings, products)
            report |= controls(stage.settings, settled, decider)
            _draw(stage.folder, Options.of(settled))
    return report


def _draw(folder: Path, options: Options) -> None:
    from streams.demo.picture import draw

    draw(
        options, folder / "report.png", f"{len(options):,} options of live answers, settled by what followed"
    )


def _is_wanted(record: Record, sold: Counter[bytes]) -> bool:
    return record.topic is not CATALOG or (record.key or b"") in sold


class _Line(msgspec.Struct):
    sku: str


class _Receipt(msgspec.Struct):
    lines: list[_Line]


def receipts_sold(journey: CompleteJourney, until: datetime, customers: int) -> Counter[bytes]:
    """How often these customers ever buy what: the rest of the catalogue would only take time to embed."""
    parse = msgspec.json.Decoder(_Receipt).decode
    sold: Counter[bytes] = Counter()
    for record in journey.records(until=until, customers=customers, topics=(TRANSACTIONS,)):
        sold.update(line.sku.encode() for line in parse(record.value or b"").lines)
    return sold
