"""The whole benchmark: cases frozen, deciders fitted before the split, everybody's answers measured alike."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from trainer.fidelity.ablation import ablate
from trainer.fidelity.baselines.base import SheetScorer
from trainer.fidelity.baselines.baskets import Baskets
from trainer.fidelity.baselines.bought_before import BoughtBefore
from trainer.fidelity.baselines.columns import PlainScorer, fit_lightgbm, is_plain
from trainer.fidelity.baselines.demographics import Demographics, DemographicScorer
from trainer.fidelity.baselines.item_sheets import AskedRows, ItemBaseline
from trainer.fidelity.baselines.popularity import Popularity
from trainer.fidelity.baselines.published import tifu_knn_recall
from trainer.fidelity.baselines.tifu_knn import TifuKnn
from trainer.fidelity.baselines.top_freq import GlobalPersonalTopFreq, PersonalTopFreq
from trainer.fidelity.baselines.up_cf import UpCf
from trainer.fidelity.bootstrap import Draws, middle
from trainer.fidelity.families import FAMILIES, NEXT_BASKET, draw
from trainer.fidelity.frozen import freeze, thaw
from trainer.fidelity.known import Known
from trainer.fidelity.ladder import climb
from trainer.fidelity.measures import K, Measured, measure_probabilities, measure_rankings
from trainer.fidelity.parts import by_activity, by_segment
from trainer.fidelity.sheets import Sheet, fill_sheet, sheet_of_taught
from trainer.fidelity.staleness import stale_curve
from trainer.fit_evidence import Effort, Taught, fit_heads, teach
from trainer.fitted import MATCHED, Fitted
from trainer.tasks.history import History
from trainer.tasks.workshop import Workshop
from twin_store.lake import Lake
from twin_store.messages.base import format_instant

EVIDENCE, LOGISTIC = "evidence", "logistic"
PLAIN = "plain LightGBM"
CALIBRATED_ON = 3_000  # rows of a kind that calibrate a baseline's line
PARTS = ("baselines", "staleness", "ladder", "ablation", "published")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What to measure on: cases between `split` and `until`, everything fitted on what was before `split`."""

    split: datetime
    until: datetime
    scale: float = 1.0
    seed: int = 2
    parts: tuple[str, ...] = PARTS
    effort: Effort = field(default_factory=Effort)


class EvidenceScorer:
    """The evidence decider's own heads, on the rows that it reads live. See `SheetScorer`."""

    def __init__(self, fitted: Fitted, logistic_alone: bool = False) -> None:
        self.name = LOGISTIC if logistic_alone else EVIDENCE
        self._fitted = fitted
        self._logistic_alone = logistic_alone

    def probabilities(self, sheet: Sheet) -> np.ndarray | None:
        """See `SheetScorer`."""
        return self._said(sheet, sheet.segments)

    def of_kind(self, sheet: Sheet) -> np.ndarray | None:
        """The same without what segments have of their own."""
        return self._said(sheet, None)

    def _said(self, sheet: Sheet, segments: np.ndarray | None) -> np.ndarray | None:
        head = self._fitted.head(sheet.kind, sheet.drawn == MATCHED)
        if head is None:
            return None
        if self._logistic_alone:
            head = head.logistic_alone()
        return head.probabilities(head.scores(sheet.evidence), sheet.cases, segments)


def run(lake: Lake, settings: Settings, cases_file: Path, say: Say = lambda line: None) -> dict[str, Any]:
    """The report as plain values. `cases_file` is read where it exists, and written where it does not.

    Raises:
        NotEnoughHistoryError: too little was before the split, or nothing after it.
        FrozenError: the file of cases was changed.
    """
    if not cases_file.exists():
        cases_file.write_text(freeze_cases(lake, settings, say), encoding="utf-8")
    about, frozen = thaw(cases_file.read_text(encoding="utf-8"))
    say(f"{len(frozen):,} frozen cases, sha256 {about['sha256'][:12]}")
    history = History.from_lake(lake, settings.split, _long_before(settings.split), say)
    workshop = Workshop(history, say)
    taught = teach(workshop, settings.effort, None, say)
    fitted, _ = fit_heads(workshop, taught, settings.effort, say)
    known = Known(lake, [case.asked for case in frozen], say)
    sheets = {}
    for family in dict.fromkeys(case.family for case in frozen):
        of_family = [case for case in frozen if case.family == family]
        sheets[family] = fill_sheet(known, of_family, fitted.affinity)
        say(f"{family}: evidence of {len(sheets[family]):,} rows")
    evidence = EvidenceScorer(fitted)
    scorers: list[SheetScorer] = [evidence]
    rankers: list[ItemBaseline] = []
    baskets = Baskets.of(known.history)
    if "baselines" in settings.parts:
        rankers = _item_baselines(baskets, taught, settings, say)
        scorers += [*rankers, EvidenceScorer(fitted, logistic_alone=True)]
        scorers += _fitted_baselines(lake, history, taught, say)
    results = {}
    for family, sheet in sheets.items():
        results[family] = _measure_family(sheet, scorers, rankers, baskets, settings.seed)
        say(f"{family}: measured")
    report: dict[str, Any] = {
        "about": about,
        "split": format_instant(settings.split),
        "until": format_instant(settings.until),
        "families": results,
        "wrong_customer": _wrong_customer(known, sheets, fitted, evidence, settings.seed, say),
    }
    purchases = sheets["purchase"]
    said = evidence.probabilities(purchases)
    if said is not None:
        report["activity"] = by_activity(purchases, said)
    report["segments"] = _by_segment(sheets, evidence)
    if "staleness" in settings.parts:
        report["staleness"] = stale_curve(known, purchases, fitted.affinity, evidence, settings.seed, say)
    if "ladder" in settings.parts:
        report["ladder"] = climb(known, purchases, evidence, settings.seed)
    if "published" in settings.parts:
        report["published"] = tifu_knn_recall(baskets)
        say("TIFU-KNN by its authors' protocol: measured")
    if "ablation" in settings.parts:
        report["ablation"] = ablate(taught["purchase", MATCHED][1], purchases, settings.seed, say)
    return report


def freeze_cases(lake: Lake, settings: Settings, say: Say) -> str:
    """The text of the file of frozen cases."""
    start, end = int(settings.split.timestamp()), int(settings.until.timestamp())
    workshop = Workshop(History.from_lake(lake, settings.until, settings.split, say), say)
    drawn = {}
    for family in FAMILIES:
        found = draw(workshop, family, start, end, settings.scale, settings.seed)
        if found:
            drawn[family.name] = found
        say(f"{family.name}: {len(found):,} cases drawn")
    about = {
        "split": format_instant(settings.split),
        "until": format_instant(settings.until),
        "seed": settings.seed,
        "scale": settings.scale,
    }
    return freeze(drawn, about)


def _item_baselines(baskets: Baskets, taught: Taught, settings: Settings, say: Say) -> list[ItemBaseline]:
    split = int(settings.split.timestamp()) - 1
    teaching = [sheet_of_taught(*each, CALIBRATED_ON) for each in taught.values()]
    found = []
    rows, popularity = AskedRows(baskets), Popularity(baskets)
    for scorer in (
        popularity,
        BoughtBefore(baskets),
        PersonalTopFreq(baskets),
        GlobalPersonalTopFreq(baskets, popularity),
        TifuKnn(baskets, split),
        UpCf(baskets, split),
    ):
        found.append(ItemBaseline(scorer, rows, teaching))
        say(f"{scorer.name}: ready")
    return found


def _fitted_baselines(lake: Lake, history: History, taught: Taught, say: Say) -> list[SheetScorer]:
    tables = {drawn: table for drawn, (_, table) in taught.items()}
    found: list[SheetScorer] = [
        PlainScorer(PLAIN, tables, is_plain, fit_lightgbm),
    ]
    say("plain LightGBM: fitted")
    matched = {str(kind): each for (kind, drawn), each in taught.items() if drawn == MATCHED}
    found.append(DemographicScorer(Demographics(lake, history), matched))
    say("demographics only: fitted")
    return found


def _measure_family(
    sheet: Sheet,
    scorers: Collection[SheetScorer],
    rankers: Collection[ItemBaseline],
    baskets: Baskets,
    seed: int,
) -> dict[str, Any]:
    measured: dict[str, Measured] = {}
    if sheet.family == NEXT_BASKET:
        draws = Draws(np.array([case.asked.customer_id for case in sheet.frozen]), seed)
        before = [
            {baskets.skus[row] for row in baskets.held(case.customer_id, case.as_of).items.tolist()}
            for case in sheet.asked
        ]
        rankings = {
            scorer.name: rank(sheet, scorer.probabilities(sheet))
            for scorer in scorers
            if scorer not in rankers
        }
        rankings |= {ranker.name: ranker.rankings(sheet, K) for ranker in rankers}
        for name, found in rankings.items():
            if found is not None:
                measured[name] = measure_rankings(sheet, found, before, draws)
    else:
        draws = Draws(sheet.customers, seed)
        for scorer in scorers:
            p = scorer.probabilities(sheet)
            if p is not None:
                measured[scorer.name] = measure_probabilities(sheet, p, draws)
    ours = measured[EVIDENCE]
    return {
        name: each.as_json() | {"ahead": list(middle(ours.draws - each.draws))}
        for name, each in measured.items()
    }


def _by_segment(sheets: dict[str, Sheet], evidence: EvidenceScorer) -> dict[str, list[dict[str, Any]]]:
    """By family its parts by segment; a next basket is a ranking, and says nothing that could be calibrated."""
    found = {}
    for family, sheet in sheets.items():
        p, of_kind = evidence.probabilities(sheet), evidence.of_kind(sheet)
        if family != NEXT_BASKET and p is not None and of_kind is not None:
            found[family] = by_segment(sheet, p, of_kind)
    return found


def rank(sheet: Sheet, p: np.ndarray | None) -> list[list[str]] | None:
    """The proposals of each next basket, most probable first."""
    if p is None:
        return None
    starts = np.searchsorted(sheet.cases, np.arange(len(sheet.asked) + 1))
    return [
        [
            case.subject.candidates[i]
            for i in np.argsort(-p[starts[c] : starts[c + 1]], kind="stable")[:K].tolist()
        ]
        for c, case in enumerate(sheet.asked)
    ]


def _wrong_customer(
    known: Known, sheets: dict[str, Sheet], fitted: Fitted, scorer: SheetScorer, seed: int, say: Say
) -> dict[str, float]:
    """The headline of each family, answered from another customer's twin."""
    found = {}
    for family, sheet in sheets.items():
        if family == NEXT_BASKET:
            continue
        others = someone_else([case.asked.customer_id for case in sheet.frozen], seed)
        other = fill_sheet(known, sheet.frozen, fitted.affinity, customers=others)
        p = scorer.probabilities(other)
        if p is not None:
            measured = measure_probabilities(other, p, Draws(other.customers, seed, rounds=1))
            found[family] = float(measured.values[measured.headline])
    say("wrong customers: answered")
    return found


def someone_else(customers: list[str], seed: int) -> list[str]:
    """For each case another case's customer, never her own where there is anybody else."""
    shuffled = [customers[i] for i in np.random.default_rng(seed).permutation(len(customers)).tolist()]
    found = []
    for i, customer in enumerate(customers):
        step = next((s for s in range(len(customers)) if shuffled[(i + s) % len(customers)] != customer), 0)
        found.append(shuffled[(i + step) % len(customers)])
    return found


def _long_before(moment: datetime) -> datetime:
    return moment.replace(year=1970, month=1, day=1)
