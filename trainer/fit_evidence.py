"""Fits the evidence models: a head for each kind of question, as of its time, split by time.

Of the period that cases are drawn from, models are fitted on the first part, calibrated on the second and measured
on the third. What is measured has not been seen by anything that answers it. Then they are fitted once more on all
three, with the calibration and the number of trees that were found (decision 86).
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

import numpy as np

from trainer.drift import snapshot
from trainer.evaluation import hit_rate, summary
from trainer.fitted import DECIDER, FLOOR, MATCHED, Fitted
from trainer.heads import ONE_IS_TRUE, Head
from trainer.registry import Manifest, Registry
from trainer.tasks import matched
from trainer.tasks.cases import Case, of_other_customers
from trainer.tasks.floor import floor
from trainer.tasks.history import History, NotEnoughHistoryError, day_of
from trainer.tasks.members import segments_of
from trainer.tasks.table import Table
from trainer.tasks.vouchers import voucher_cases
from trainer.tasks.workshop import WARM_UP_DAYS, Workshop
from twin_store.dna.rows import SECONDS_PER_DAY
from twin_store.messages.decisions import QuestionKind
from twin_store.segments import load_definitions

# Of the rows, the last ones in order of time; the others are fitted on.
CALIBRATE_SHARE, MEASURE_SHARE = 0.15, 0.1
LABELS_MIN = 100
SPAN_DAYS_MIN = 14  # from first to last case: in less, what is measured is the weekday, not later weeks
Drawn = tuple[QuestionKind, str]
Taught = dict[Drawn, tuple[list[Case], Table]]  # cases in order of time, and their rows


@dataclass(frozen=True)
class Effort:
    """About how many labels to draw of each kind over the whole period, and how to fit.

    Three times the purchases, 76,000 to 230,000, raise their AUC from .773 to .775; twice the completions change
    nothing (Complete Journey, one LightGBM, the last 15 % before October held out).
    """

    purchase: int = 240_000
    purchase_floor: int = 60_000
    promotion: int = 100_000
    promotion_floor: int = 30_000
    completion: int = 60_000
    choice: int = 40_000
    seed: int = 1
    threads: int = 1

    def times(self, factor: float) -> "Effort":
        """The same, with so many times the labels."""
        kinds = ("purchase", "purchase_floor", "promotion", "promotion_floor", "completion", "choice")
        return replace(self, **{kind: int(getattr(self, kind) * factor) for kind in kinds})


def fit_evidence(
    history: History,
    effort: Effort,
    say: Callable[[str], None] = lambda line: None,
    only: Collection[Drawn] | None = None,
) -> tuple[Fitted, dict[str, Any]]:
    """Every head that the history has cases for, and its measures by kind and by how candidates were drawn.

    With `only`, these heads alone.

    Raises:
        NotEnoughHistoryError: if it has cases for none.
    """
    workshop = Workshop(history, say)
    return fit_heads(workshop, teach(workshop, effort, only, say), effort, say)


def teach(
    workshop: Workshop,
    effort: Effort,
    only: Collection[Drawn] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Taught:
    """The cases of every kind, or of some, with their tables; kinds with too few labels are left out."""
    taught: Taught = {}
    for (kind, drawn), cases in draw_cases(
        workshop, effort, lambda drawn: only is None or drawn in only
    ).items():
        labels = sum(len(case.labels) for case in cases)
        if labels < LABELS_MIN:
            say(f"{kind} ({drawn}): only {labels} labels, left out")
            continue
        ordered = sorted(cases, key=lambda case: case.as_of)
        taught[kind, drawn] = ordered, workshop.table(ordered)
        say(f"{kind} ({drawn}): {labels:,} labels drawn")
    return taught


def fit_heads(
    workshop: Workshop, taught: Taught, effort: Effort, say: Callable[[str], None] = lambda line: None
) -> tuple[Fitted, dict[str, Any]]:
    """See `fit_evidence`."""
    heads: dict[Drawn, Head] = {}
    metrics: dict[str, Any] = {}
    for (kind, drawn), (cases, table) in taught.items():
        try:
            head, measured = _fit_head(workshop, cases, table, effort)
        except ValueError as error:
            say(f"{kind} ({drawn}): left out, {error}")
            continue
        heads[kind, drawn] = head
        metrics.setdefault(kind, {})[drawn] = measured
        say(
            f"{kind} ({drawn}): {len(table):,} labels; on the last weeks AUC {measured['auc']:.3f}, "
            f"Brier {measured['brier']:.3f}, ECE {measured['ece']:.3f}"
        )
    if not heads:
        until = workshop.history.until
        raise NotEnoughHistoryError(
            f"no kind of question has {LABELS_MIN} labels of both outcomes, from {SPAN_DAYS_MIN} days or more, "
            f"before {day_of(until)} (the first {WARM_UP_DAYS} days only teach what is usual); "
            "replay or ingest more receipts, or choose a later date"
        )
    return Fitted(heads, workshop.affinity(workshop.history.until)), metrics


def draw_cases(
    workshop: Workshop, effort: Effort, is_wanted: Callable[[Drawn], bool] = lambda _: True
) -> dict[Drawn, list[Case]]:
    """The cases of every kind that the period has, or only of those that are wanted."""
    shop, start, end, seed = workshop.shop, workshop.first_case, workshop.end, effort.seed
    drawn: dict[Drawn, Callable[[], Iterator[Case]]] = {
        ("purchase", MATCHED): lambda: matched.purchases(shop, start, end, effort.purchase, seed),
        ("purchase", FLOOR): lambda: floor(shop, "purchase", start, end, effort.purchase_floor, seed),
        ("promotion_response", MATCHED): lambda: matched.promotions(shop, start, end, effort.promotion, seed),
        ("promotion_response", FLOOR): lambda: floor(
            shop, "promotion_response", start, end, effort.promotion_floor, seed
        ),
        ("basket_completion", MATCHED): lambda: matched.completions(
            shop, start, end, effort.completion // matched.OPTIONS, seed
        ),
        ("trip_choice", MATCHED): lambda: matched.choices(shop, start, end, effort.choice // 2, seed),
        ("voucher_redemption", FLOOR): lambda: voucher_cases(workshop.history),
    }
    return {name: list(draw()) for name, draw in drawn.items() if is_wanted(name)}


def measure(head: Head, table: Table) -> dict[str, float | int]:
    """How good a head's probabilities are on cases that it has not seen."""
    probabilities = head.probabilities(head.scores(table.evidence), table.cases)
    found = summary(table.labels, probabilities, table.weights)
    if head.kind in ONE_IS_TRUE:
        found["hit_rate"] = hit_rate(table.labels, probabilities, table.cases)
    return found


def publish_evidence(
    registry: Registry,
    fitted: Fitted,
    metrics: dict[str, Any],
    until: datetime,
    created_at: str,
    effort: Effort,
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> Manifest:
    """Store a version with all its heads, and files `beside` them, and make it the current one."""
    files = {**fitted.to_files(), **beside}
    settings = {"effort": asdict(effort)}
    parent = registry.current(DECIDER)
    return registry.publish(DECIDER, until.isoformat(), created_at, files, metrics, settings, parent=parent)


def snapshot_files(history: History, life_stages: Mapping[str, str]) -> dict[str, bytes]:
    """What drift is measured against: the trips of each segment in the last weeks, as of the history's end."""
    workshop = Workshop(history)
    segments = segments_of(workshop, load_definitions())
    return {
        snapshot.FILE: snapshot.to_bytes(
            snapshot.snapshot(history.lines, segments, life_stages, history.until)
        )
    }


def _fit_head(
    workshop: Workshop, cases: list[Case], table: Table, effort: Effort
) -> tuple[Head, dict[str, Any]]:
    fit, calibrate, last = split_by_time(table)
    if len(np.unique(table.labels[last])) < 2:
        raise ValueError("the rows to measure on have one outcome only")
    head = Head.fit(table.where(fit), table.where(calibrate), effort.seed, effort.threads)
    measured: dict[str, Any] = dict(measure(head, table.where(last)))
    asked_last = set(table.seconds[last].tolist())
    others = of_other_customers([case for case in cases if case.as_of in asked_last], effort.seed)
    # Answered as of the wrong customer: what is left above chance is not about the customer.
    measured["auc_wrong_customer"] = measure(head, workshop.table(others))["auc"]
    # The newest weeks are most like those to come: what was calibrated and measured on is learnt from in the end.
    return head.refitted(table, effort.seed, effort.threads), measured


def split_by_time(table: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of the rows to fit, calibrate and measure on, earliest first; no moment is in two.

    Raises:
        ValueError: if the rows are of too few moments, or of too few days.
    """
    moments, counts = np.unique(table.seconds, return_counts=True)
    days = int(moments[-1] - moments[0]) // SECONDS_PER_DAY
    if days < SPAN_DAYS_MIN:
        raise ValueError(f"its cases span {days} days; {SPAN_DAYS_MIN} are needed to measure on later weeks")
    if len(moments) < 3:
        raise ValueError("its cases are of too few moments to split by time")
    from_end = np.cumsum(counts[::-1]) / len(table)
    # At least the wanted share of each, and at least one moment for those before.
    last = min(int(np.searchsorted(from_end, MEASURE_SHARE)) + 1, len(moments) - 2)
    later = int(np.searchsorted(from_end, from_end[last - 1] + CALIBRATE_SHARE)) + 1
    later = min(max(later, last + 1), len(moments) - 1)
    measured_on = table.seconds >= moments[-last]
    fitted_on = table.seconds < moments[-later]
    return fitted_on, ~fitted_on & ~measured_on, measured_on
