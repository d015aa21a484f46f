"""The verdict over a challenger: question kind by question kind, with its numbers and its reasons."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from trainer.gate.measures import gains, measured, paired_p, plain
from trainer.gate.scores import Scores

JSON_FILE, TEXT_FILE = "verdict.json", "verdict.md"


@dataclass(frozen=True)
class Guards:
    """What may not happen.

    Attributes:
        tolerance: how far AUC may fall, by question kind; `any` for all others.
        brier_tolerance: how far the Brier score may rise.
        ece_max: the greatest calibration error; a challenger may be as far off as its champion is.
        rows_min: with fewer decisions, or of one outcome, nothing is decided: it stays as it is.
        latency_max_ms: the longest that an answer may take at the 99th percentile.
        must_win: the challenger must be better beyond chance, and not only as good.
    """

    tolerance: Mapping[str, float] = field(default_factory=lambda: {"any": 0.005})
    brier_tolerance: float = 0.002
    ece_max: float = 0.03
    rows_min: int = 300
    latency_max_ms: float | None = None
    must_win: bool = False

    def tolerance_of(self, kind: str) -> float:
        """Of a kind, such as `purchase (matched)`: its own, or that of the kind whatever its cases, or of any."""
        return self.tolerance.get(
            kind, self.tolerance.get(kind.split(" ")[0], self.tolerance.get("any", 0.0))
        )


@dataclass(frozen=True)
class KindVerdict:
    """Of one kind of question; `reasons` is empty if it passed."""

    kind: str
    passed: bool
    reasons: tuple[str, ...]
    rows: int
    customers: int
    champion: dict[str, float | None]
    challenger: dict[str, float | None]
    auc_gain: tuple[float | None, float | None]
    brier_gain: tuple[float | None, float | None]
    paired_p: float | None


@dataclass(frozen=True)
class Verdict:
    """Of a challenger as a whole. `published_for` are the kinds that it may answer; others stay with the champion."""

    champion: str
    challenger: str
    passed: bool
    reasons: tuple[str, ...]
    kinds: tuple[KindVerdict, ...]
    published_for: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; `kinds` by name."""
        return asdict(self) | {"kinds": {each.kind: asdict(each) for each in self.kinds}}

    def to_files(self) -> dict[str, bytes]:
        """For machines and for people."""
        return {
            JSON_FILE: json.dumps(self.to_json(), indent=2).encode(),
            TEXT_FILE: self.to_markdown().encode(),
        }

    def to_markdown(self) -> str:
        """A report that can be read."""
        lines = [
            f"# {self.challenger} against {self.champion}: {'passed' if self.passed else 'refused'}",
            "",
            *(f"- {reason}" for reason in self.reasons),
            *([f"It answers {', '.join(self.published_for)}."] if self.published_for else []),
            "",
            "| question | decisions (customers) | AUC | Brier | ECE | accuracy or hit rate | AUC gain, 95 % | p "
            "| verdict |",
            "|---|---|---|---|---|---|---|---|---|",
            *(_row(each) for each in self.kinds),
            "",
            "Each cell is champion → challenger. Gains are bootstrapped by customer; p is of a paired sign-flip test "
            "on customers' squared errors.",
        ]
        return "\n".join(lines) + "\n"


def judge(
    champion: str,
    challenger: str,
    scores: Sequence[Scores],
    guards: Guards = Guards(),
    canaries_wrong: str | None = None,
    latency_p99_ms: float | None = None,
    seed: int = 0,
) -> Verdict:
    """Compare two deciders.

    Args:
        scores: one a kind, or several of a kind with its way of drawing in brackets, such as `purchase (matched)`;
            a kind passes if all of its scores do.
        canaries_wrong: what is wrong with the challenger's canaries.
        latency_p99_ms: of the challenger's answers, if it was measured.
    """
    kinds = tuple(_of_kind(each, guards, seed) for each in scores)
    reasons = []
    if not kinds:
        reasons.append("there are no held-out decisions to judge by")
    if canaries_wrong is not None:
        reasons.append(f"canaries: {canaries_wrong}")
    bound_ms = math.inf if guards.latency_max_ms is None else guards.latency_max_ms
    if latency_p99_ms is not None and latency_p99_ms > bound_ms:
        reasons.append(f"latency: {latency_p99_ms:.0f} ms at p99, bound {bound_ms:.0f} ms")
    names = list(dict.fromkeys(each.kind.split(" ")[0] for each in kinds))
    good = tuple(
        name for name in names if all(each.passed for each in kinds if each.kind.split(" ")[0] == name)
    )
    if kinds and not good:
        reasons.append("no question kind passed")
    passed = not reasons
    return Verdict(champion, challenger, passed, tuple(reasons), kinds, good if passed else ())


def _of_kind(scores: Scores, guards: Guards, seed: int) -> KindVerdict:
    customers = len(np.unique(scores.customers))
    if len(scores) < guards.rows_min or len(np.unique(scores.truths)) < 2:
        reason = f"{len(scores)} decisions, or of one outcome only: too few to judge by"
        nothing = (None, None)
        return KindVerdict(
            scores.kind, False, (reason,), len(scores), customers, {}, {}, nothing, nothing, None
        )
    before, after = measured(scores, scores.champion), measured(scores, scores.challenger)
    found = gains(scores, seed)
    reasons = list(_against(scores.kind, before, after, found, guards))
    return KindVerdict(
        scores.kind,
        not reasons,
        tuple(reasons),
        len(scores),
        customers,
        plain(before),
        plain(after),
        _interval(found["auc"]),
        _interval(found["brier"]),
        paired_p(scores, seed),
    )


def _against(
    kind: str,
    before: Mapping[str, float],
    after: Mapping[str, float],
    found: Mapping[str, tuple[float, float]],
    guards: Guards,
) -> list[str]:
    reasons = []
    fallen = before["auc"] - after["auc"]
    if fallen > guards.tolerance_of(kind):
        reasons.append(f"AUC falls by {fallen:.4f}; it may by {guards.tolerance_of(kind):.4f}")
    risen = after["brier"] - before["brier"]
    if risen > guards.brier_tolerance:
        reasons.append(f"Brier score rises by {risen:.4f}; it may by {guards.brier_tolerance:.4f}")
    bound = max(guards.ece_max, before["ece"])
    if after["ece"] > bound:
        reasons.append(f"ECE is {after['ece']:.4f}; the bound is {bound:.4f}")
    if guards.must_win and not max(found["auc"][0], found["brier"][0]) > 0:
        reasons.append("no gain beyond chance, in AUC or in Brier score")
    return reasons


def _interval(found: tuple[float, float]) -> tuple[float | None, float | None]:
    low, high = found
    return (low, high) if math.isfinite(low) and math.isfinite(high) else (None, None)


def _row(each: KindVerdict) -> str:
    def pair(name: str) -> str:
        said = [found.get(name) for found in (each.champion, each.challenger)]
        return " → ".join("-" if value is None else f"{value:.4f}" for value in said)

    decided = pair("accuracy") if "accuracy" in each.champion else pair("hit_rate")
    low, high = each.auc_gain
    gain = "-" if low is None or high is None else f"{low:+.4f} to {high:+.4f}"
    p = "-" if each.paired_p is None else f"{each.paired_p:.3f}"
    verdict = "passed" if each.passed else "; ".join(each.reasons)
    cells = (
        each.kind,
        f"{each.rows:,} ({each.customers:,})",
        pair("auc"),
        pair("brier"),
        pair("ece"),
        decided,
    )
    return f"| {' | '.join(cells)} | {gain} | {p} | {verdict} |"
