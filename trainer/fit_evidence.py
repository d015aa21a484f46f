"""Fits the evidence models: one a question kind, as-of, split by time, calibrated on what came later.

The history is cut in three by time: models are fitted on the first part, calibrated on the second and measured on
the third. Tables of affinity that a case is answered with were fitted on what came before its block of weeks.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from trainer.calibration import Calibration, fit_calibration, fit_temperature, logit
from trainer.evaluation import summary
from trainer.fit_affinity import Purchases, fit_affinity
from trainer.fitted import CHOICES, DECIDER, Fitted
from trainer.registry import Manifest, Registry
from trainer.scorers import fit_scorer, suffix_of
from trainer.tasks import matched
from trainer.tasks.cases import Case, of_other_customers
from trainer.tasks.floor import floor
from trainer.tasks.history import History, NotEnoughHistoryError
from trainer.tasks.replay import Replay, keys_of
from trainer.tasks.shop import Shop
from trainer.tasks.table import Table, build_table
from trainer.tasks.vouchers import campaign_rates, voucher_cases
from twin_store.affinity import Affinity
from twin_store.catalogue import Catalogue
from twin_store.dna.rows import SECONDS_PER_DAY
from twin_store.evidence import EVIDENCE_NAMES, EvidenceReader, Products
from twin_store.market import Market
from twin_store.messages.codec import FIRST_MONDAY
from twin_store.messages.decisions import QuestionKind

BLOCK_DAYS = 28  # affinity is fitted anew for each block of cases
WARM_UP_DAYS = 56  # no cases before this much history
FIT_SHARE, CALIBRATE_SHARE = 0.7, 0.15  # the rest measures
LABELS_MIN = 100


@dataclass(frozen=True)
class Effort:
    """About how many labels of each kind to draw over the whole history."""

    purchase: int = 60_000
    purchase_floor: int = 60_000
    promotion: int = 30_000
    completion: int = 40_000
    choice: int = 16_000
    seed: int = 1
    threads: int = 2

    def times(self, factor: float) -> "Effort":
        """The same, with so many times the labels."""
        kinds = ("purchase", "purchase_floor", "promotion", "completion", "choice")
        return replace(self, **{kind: int(getattr(self, kind) * factor) for kind in kinds})


class Workshop:
    """A history made ready for drawing cases and reading their evidence as of their time."""

    def __init__(self, history: History, say: Callable[[str], None]) -> None:
        self.history = history
        self.start = int(history.lines["second"].min() or 0)  # type: ignore[arg-type]
        self.end = history.until
        catalogue = Catalogue.from_frame(history.catalogue, history.currency)
        self._products = Products(catalogue, market_of(history), history.currency)
        self._purchases = Purchases.of(history, catalogue)
        self.shop = Shop.of(history)
        self._replay = Replay(history)
        self._blocks = np.arange(self.first_case, self.end, BLOCK_DAYS * SECONDS_PER_DAY)
        self._readers = [EvidenceReader(self._products, self._affinity(int(b))) for b in self._blocks]
        say(f"{len(self.shop.trips):,} trips, {len(catalogue):,} products")

    @property
    def first_case(self) -> int:
        """When the first case may be asked."""
        return self.start + WARM_UP_DAYS * SECONDS_PER_DAY

    def final_affinity(self) -> Affinity:
        """From the whole history: what the version brings along."""
        return fit_affinity(self._purchases, campaign_rates(self.history))

    def table(self, cases: Sequence[Case], stale_days: int = 0) -> Table:
        """The evidence of cases of one kind, rows in order of time."""
        ordered = sorted(cases, key=lambda case: case.as_of)
        return build_table(ordered, self._replay, self._reader_at, stale_days)

    def _affinity(self, before: int) -> Affinity:
        # Rates of campaigns that were over by then; those that still ran tell the future.
        known = History(
            self.history.lines.filter(pl.col("second") < before),
            self.history.catalogue,
            self.history.shelves,
            self.history.campaigns,
            before,
            self.history.currency,
        )
        return fit_affinity(self._purchases.before(before), campaign_rates(known))

    def _reader_at(self, second: int) -> EvidenceReader:
        block = int(np.searchsorted(self._blocks, second, side="right")) - 1
        if block < 0:
            return EvidenceReader(self._products, Affinity.empty())
        return self._readers[block]


def market_of(history: History) -> Market:
    """The market that a history's receipts make."""
    weekly = history.weekly()
    market = Market.from_weeks(
        weekly.with_columns(pl.Series("sku_key", keys_of(weekly["sku"]))), history.currency
    )
    week = (pl.col("second") // SECONDS_PER_DAY - FIRST_MONDAY) // 7
    listed = (
        history.lines.filter(pl.col("store_id").is_not_null() & pl.col("sku").is_not_null())
        .group_by("sku", "store_id")
        .agg(week.min().alias("week"))
    )
    if listed.height:
        market.list_at(keys_of(listed["sku"]), keys_of(listed["store_id"]), listed["week"].to_numpy())
    return market


def fit_evidence(
    history: History, effort: Effort, say: Callable[[str], None]
) -> tuple[dict[QuestionKind, Fitted], Affinity]:
    """Every kind that the history has cases of.

    Raises:
        NotEnoughHistoryError: it has none at all.
    """
    workshop = Workshop(history, say)
    fitted: dict[QuestionKind, Fitted] = {}
    for kind, cases in _draw(workshop, effort).items():
        labels = sum(len(case.labels) for case in cases)
        if labels < LABELS_MIN:
            say(f"{kind}: only {labels} labels, left out")
            continue
        try:
            fitted[kind] = _fit_kind(workshop, kind, cases, effort)
        except ValueError as error:
            say(f"{kind}: left out, {error}")
            continue
        shown = ", ".join(f"{name} {m['auc']:.3f}" for name, m in fitted[kind].metrics.items())
        say(f"{kind}: {labels:,} labels; AUC on the last weeks: {shown}")
    if not fitted:
        raise NotEnoughHistoryError(
            f"no question kind has {LABELS_MIN} labels before {datetime.fromtimestamp(history.until):%Y-%m-%d}; "
            "replay or ingest more receipts, or choose a later date"
        )
    return fitted, workshop.final_affinity()


def _draw(workshop: Workshop, effort: Effort) -> dict[QuestionKind, list[Case]]:
    shop, start, end, seed = workshop.shop, workshop.first_case, workshop.end, effort.seed
    return {
        "purchase": [
            *matched.purchases(shop, start, end, effort.purchase, seed),
            *floor(shop, "purchase", start, end, effort.purchase_floor, seed),
        ],
        "promotion_response": [
            *matched.promotions(shop, start, end, effort.promotion, seed),
            *floor(shop, "promotion_response", start, end, effort.promotion, seed),
        ],
        "basket_completion": list(matched.completions(shop, start, end, effort.completion // 5, seed)),
        "trip_choice": list(matched.choices(shop, start, end, effort.choice // 2, seed)),
        "voucher_redemption": list(voucher_cases(workshop.history)),
    }


def _fit_kind(workshop: Workshop, kind: QuestionKind, cases: list[Case], effort: Effort) -> Fitted:
    table = workshop.table(cases)
    fit, calibrate, measure = _by_time(table)
    scorer = fit_scorer(fit.evidence, fit.labels, fit.weights, effort.seed, effort.threads)
    model = Fitted(kind, scorer)
    scores = scorer(calibrate.evidence)
    if kind in CHOICES:
        model.temperature = fit_temperature(logit(scores), _renumbered(calibrate), calibrate.labels)
    else:
        model.matched = _calibration(scores, calibrate, calibrate.matched)
        model.floor = _calibration(scores, calibrate, ~calibrate.matched)
    wrong = workshop.table(of_other_customers([case for case in cases if case.matched] or cases, effort.seed))
    _, _, wrong_measure = _by_time(wrong)
    model.metrics = _metrics(model, measure) | _control(model, wrong_measure)
    return model


def _by_time(table: Table) -> tuple[Table, Table, Table]:
    """First, second and third part by time; no moment is in two."""
    first, second = np.quantile(table.seconds, [FIT_SHARE, FIT_SHARE + CALIBRATE_SHARE])
    seconds = table.seconds
    parts = (seconds <= first, (seconds > first) & (seconds <= second), seconds > second)
    if not all(part.any() for part in parts):
        raise ValueError("all its cases are of one moment")
    fit, calibrate, measure = (table.where(part) for part in parts)
    return fit, calibrate, measure


def _renumbered(table: Table) -> np.ndarray:
    """The cases of a table as 0, 1, 2...: int64 [n]."""
    return np.asarray(np.unique(table.cases, return_inverse=True)[1], dtype=np.int64)


def _calibration(scores: np.ndarray, table: Table, rows: np.ndarray) -> Calibration | None:
    labels = table.labels[rows]
    if len(labels) < LABELS_MIN // 2 or labels.min() == labels.max():
        return None
    return fit_calibration(scores[rows], labels, table.weights[rows])


def _metrics(model: Fitted, table: Table) -> dict[str, Any]:
    probabilities = model.probabilities(table.evidence, _renumbered(table), table.matched)
    found: dict[str, Any] = {}
    for name, rows in (("matched", table.matched), ("floor", ~table.matched)):
        if rows.any():
            found[name] = summary(table.labels[rows], probabilities[rows], table.weights[rows])
    if model.kind in CHOICES:
        found["matched"]["hit_rate"] = _hit_rate(table, probabilities)
    return found


def _control(model: Fitted, table: Table) -> dict[str, Any]:
    """The same cases asked of other customers' twins: what is left is what is not about the customer."""
    probabilities = model.probabilities(table.evidence, _renumbered(table), table.matched)
    return {"wrong_customer": summary(table.labels, probabilities, table.weights)}


def _hit_rate(table: Table, probabilities: np.ndarray) -> float:
    """How often the option with the greatest probability is the right one."""
    cases = _renumbered(table)
    order = np.lexsort((-probabilities, cases))
    first = order[np.unique(cases[order], return_index=True)[1]]
    return float(table.labels[first].mean())


def publish_evidence(
    registry: Registry,
    fitted: dict[QuestionKind, Fitted],
    affinity: Affinity,
    until: datetime,
    created_at: str,
    effort: Effort,
) -> Manifest:
    """Store a version with all its kinds and make it the current one."""
    files = {"affinity.npz": affinity.to_bytes()}
    for kind, model in fitted.items():
        files[f"{kind}{suffix_of(model.scorer)}"] = model.scorer.to_text().encode()
        maps = {
            "temperature": model.temperature,
            "matched": model.matched.to_json() if model.matched else None,
            "floor": model.floor.to_json() if model.floor else None,
            "evidence": list(EVIDENCE_NAMES[kind]),
        }
        files[f"{kind}.maps.json"] = json.dumps(maps).encode()
    metrics: dict[str, Any] = {kind: model.metrics for kind, model in fitted.items()}
    return registry.publish(
        DECIDER, until.isoformat(), created_at, files, metrics, {"effort": asdict(effort)}
    )
