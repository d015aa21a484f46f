"""The demo's report: what was measured, and what is wrong with it if anything is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streams.dead_letters import Selection, origin_of, read_letters
from streams.demo.cases import Cases
from streams.demo.scores import Options
from streams.live_profiles import LiveProfile, live_profiles
from streams.machine import machine
from streams.settings import Settings
from streams.sources.chaos import ChaosReport
from streams.sources.schedule import Published
from streams.topics import TRANSACTIONS
from twin_store.messages import Profile
from twin_store.messages.codec import decode

ANSWERED_SHARE_MIN = 0.99


@dataclass
class Measured:
    """What the phases measured on their way. `past_s` is from the first receipt published to the last folded."""

    past: Published = field(default_factory=Published)
    past_s: float = 0.0
    live: Published = field(default_factory=Published)
    chaos: ChaosReport = field(default_factory=ChaosReport)
    freshness_ms: np.ndarray = field(default_factory=lambda: np.zeros(0))


def build_report(settings: Settings, measured: Measured, cases: Cases) -> dict[str, Any]:
    """Counts, rates, latencies and scores."""
    asked = cases.cases
    answered = [case for case in asked if case.is_answered]
    latency = np.array([case.prediction.latency_ms for case in answered if case.prediction is not None])
    options = Options.of(cases.settled())
    chaos = measured.chaos
    profiles = live_profiles(settings)
    letters = {origin_of(letter) for letter in read_letters(settings, Selection())}
    return {
        "baskets": measured.past.messages[TRANSACTIONS.name] + chaos.records,
        "lines": measured.past.lines + measured.live.lines,
        "lines_per_s": round(measured.past.lines / measured.past_s) if measured.past_s else None,
        "twins": len(profiles),
        "queries": len(asked),
        "predictions": sum(case.prediction is not None for case in asked),
        "answers_of_one_query_max": cases.answers_max,
        "answered_share": round(len(answered) / len(asked), 4) if asked else 0.0,
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
        "machine": machine(),
        "example": _example(profiles),
    }


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
    if report["dead_lettered"] != report["poison_injected"]:
        found.append(
            f"{report['poison_injected']} messages were poisoned and {report['dead_lettered']} set aside"
        )
    if report["answers_of_one_query_max"] > 1:
        found.append("a query was answered more than once")
    if report["predictions"] != report["queries"]:
        found.append(f"{report['queries']} queries got {report['predictions']} predictions")
    if report["answered_share"] < ANSWERED_SHARE_MIN:
        found.append(f"only {report['answered_share']:.1%} of the queries were answered in time")
    if not report["n_scored"]:
        found.append("no answer could be settled: stream more weeks")
    return found
