"""The demo's report: what was measured, and what is wrong with it if anything is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import msgspec
import numpy as np

from streams.dead_letters import Selection, origin_of, payload_of, read_letters
from streams.demo.authors import authors
from streams.demo.cases import Case, Cases
from streams.demo.controls import STALE_DAYS
from streams.demo.scores import Options
from streams.kafka import read_to_end
from streams.live_profiles import LiveProfile, live_profiles
from streams.machine import machine
from streams.settings import Settings
from streams.sources.chaos import ChaosReport, fingerprint
from streams.sources.schedule import Published
from streams.topics import LATE, TRANSACTIONS
from trainer.deciders.evidence import NO_HEAD
from twin_store.messages import Profile
from twin_store.messages.codec import decode

ANSWERED_SHARE_MIN = 0.99
NAMED_MAX = 5
# In the report in any case, None until there is something to measure them on.
MEASURED_LATER = (
    "verify_divergent",
    "verify_total",
    "auc_asked_again",
    f"auc_{STALE_DAYS}_days_stale",
    "auc_wrong_customer",
    "same_questions",
)


@dataclass
class Measured:
    """What the phases measured on their way. `past_s` is from the first receipt published to the last folded."""

    past: Published = field(default_factory=Published)
    past_s: float = 0.0
    live: Published = field(default_factory=Published)
    chaos: ChaosReport = field(default_factory=ChaosReport)
    freshness_ms: np.ndarray = field(default_factory=lambda: np.zeros(0))


class _Activity(msgspec.Struct):
    receipts: int
    lines: int
    returned_lines: int


class _Dna(msgspec.Struct):
    activity: _Activity


class _Profile(msgspec.Struct):
    dna: _Dna


class _Receipt(msgspec.Struct):
    transaction_id: str
    lines: list[msgspec.Raw]


@dataclass(frozen=True)
class Baskets:
    """Receipts and their lines. What the demo replays are sales alone, so that the two sides can be compared."""

    baskets: int
    lines: int

    @classmethod
    def folded(cls, profiles: Mapping[str, LiveProfile]) -> Self:
        """What the published profiles say, each receipt once; returned lines are counted as sold."""
        parse = msgspec.json.Decoder(_Profile).decode
        found = [parse(profile.value).dna.activity for profile in profiles.values()]
        return cls(
            sum(each.receipts for each in found), sum(each.lines + each.returned_lines for each in found)
        )

    @classmethod
    def published(cls, measured: Measured) -> Self:
        """What was published, without duplicates and poison: those are beside the truth, not part of it."""
        baskets = measured.past.messages[TRANSACTIONS.name] + measured.chaos.records
        return cls(baskets, measured.past.lines + measured.live.lines)

    @classmethod
    def late(cls, settings: Settings) -> Self:
        """What came too late to be folded, each receipt once."""
        parse = msgspec.json.Decoder(_Receipt).decode
        of_receipts = Selection(topic=TRANSACTIONS.name)
        payloads = [payload_of(letter) for letter in read_letters(settings, of_receipts, LATE)]
        late = {receipt.transaction_id: len(receipt.lines) for receipt in (parse(p) for p in payloads if p)}
        return cls(len(late), sum(late.values()))


def poisoned_origins(settings: Settings, chaos: ChaosReport) -> set[str]:
    """Where the poisoned messages stand, as dead letters name it."""
    return {
        f"{message.topic()}/{message.partition()}/{message.offset()}"
        for message in read_to_end(settings, TRANSACTIONS)
        if fingerprint(message.value() or b"") in chaos.poisoned
    }


def build_report(settings: Settings, measured: Measured, cases: Cases) -> dict[str, Any]:
    """Counts, rates, latencies and scores."""
    asked = cases.cases
    answered = [case for case in asked if case.is_answered]
    latency = np.array([case.prediction.latency_ms for case in answered if case.prediction is not None])
    options = Options.of(cases.settled())
    chaos = measured.chaos
    profiles = live_profiles(settings)
    folded = Baskets.folded(profiles)
    letters = {origin_of(letter) for letter in read_letters(settings, Selection())}
    poisoned = poisoned_origins(settings, chaos)
    return dict.fromkeys(MEASURED_LATER) | {
        "baskets": folded.baskets,
        "lines": folded.lines,
        "published": asdict(Baskets.published(measured)),
        "set_aside_late": asdict(Baskets.late(settings)),
        "lines_per_s": round(measured.past.lines / measured.past_s) if measured.past_s else None,
        "twins": len(profiles),
        "queries": len(asked),
        "predictions": sum(case.prediction is not None for case in asked),
        "answers_of_one_query_max": cases.answers_max,
        "without_model": sum(_lacked_a_model(case) for case in asked),
        "answered_share": round(len(answered) / len(asked), 4) if asked else 0.0,
        "decider": settings.decider,
        **authors(cases),
        "freshness_ms_p50": percentile(measured.freshness_ms, 50),
        "freshness_ms_p99": percentile(measured.freshness_ms, 99),
        "answer_ms_p50": percentile(latency, 50),
        "answer_ms_p99": percentile(latency, 99),
        **options.summary(),
        "by_kind": {str(kind): options.of_kind(str(kind)).summary() for kind in np.unique(options.kinds)},
        "duplicates_injected": chaos.duplicates,
        "delayed_injected": chaos.delayed,
        "poison_injected": chaos.poison.total(),
        "dead_lettered": len(letters),
        "poison_missed": sorted(poisoned - letters),
        "set_aside_wrongly": sorted(letters - poisoned),
        "machine": machine(),
        "example": _example(profiles),
    }


def _lacked_a_model(case: Case) -> bool:
    return case.prediction is not None and NO_HEAD in (case.prediction.reason or "")


def _example(profiles: Mapping[str, LiveProfile]) -> dict[str, str]:
    """A customer who is worth a look, and one of her regular items: for whoever goes on from here."""
    if not profiles:
        return {}
    best = max(profiles, key=lambda customer: profiles[customer].events_folded)
    regulars = decode(Profile, profiles[best].value).dna.regulars
    due = max(regulars, key=lambda item: item.purchase_days, default=None)
    return {"customer": best} | ({} if due is None else {"sku": due.sku})


def percentile(values: np.ndarray, q: float) -> float | None:
    """A percentile, None of nothing."""
    return round(float(np.percentile(values, q)), 1) if len(values) else None


def complaints(report: dict[str, Any]) -> list[str]:
    """What is wrong with the result, a sentence each; nothing when all is well."""
    found = []
    if report["verify_divergent"]:
        found.append(f"{report['verify_divergent']} of {report['verify_total']} twins differ from the lake")
    for what in ("baskets", "lines"):
        expected = report["published"][what] - report["set_aside_late"][what]
        if report[what] != expected:
            found.append(f"the profiles hold {report[what]:,} {what}; {expected:,} were published in time")
    if report["dead_lettered"] != report["poison_injected"]:
        found.append(
            f"{report['poison_injected']} messages were poisoned and {report['dead_lettered']} set aside"
        )
    for name, what in (
        ("poison_missed", "poisoned and not set aside"),
        ("set_aside_wrongly", "good and set aside"),
    ):
        if report[name]:
            found.append(f"{len(report[name])} messages were {what}: {', '.join(report[name][:NAMED_MAX])}")
    if report["answers_of_one_query_max"] > 1:
        found.append("a query was answered more than once")
    if report["predictions"] != report["queries"]:
        found.append(f"{report['queries']} queries got {report['predictions']} predictions")
    # A kind with too few cases in the past has no model, and every such query is told so: that is no delay.
    answerable = report["queries"] - report["without_model"]
    if report["answered_share"] * report["queries"] < ANSWERED_SHARE_MIN * answerable:
        found.append(
            f"only {report['answered_share']:.1%} of the queries were answered in time, "
            f"and for {report['without_model']} there was no model"
        )
    if not report["n_scored"]:
        found.append("no answer could be settled: stream more weeks")
    return found
