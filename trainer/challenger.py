"""A challenger of one segment: an evidence model of its own, fitted on what its customers did of late, and its verdict.

The newest days are held out: of them, and of nothing else, the gate says whether the challenger replaces the champion.
What came before is weighted by age, so that after a change the new behaviour counts most. Kinds of question that the
segment has too few cases of keep the champion's head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

import numpy as np
import xxhash

from trainer.drift import snapshot
from trainer.drift.visits import Visits
from trainer.fit_evidence import LABELS_MIN
from trainer.fitted import FLOOR, MATCHED, Fitted
from trainer.heads import ONE_IS_TRUE, Head
from trainer.registry import Manifest, Registry
from trainer.segment_gate import Judged, Verdict, verdict_of
from trainer.tasks import matched
from trainer.tasks.cases import Case
from trainer.tasks.floor import floor
from trainer.tasks.history import NotEnoughHistoryError
from trainer.tasks.members import segments_of
from trainer.tasks.shop import Shop
from trainer.tasks.table import Table, build_table
from trainer.tasks.workshop import Workshop
from twin_store.affinity import Affinity
from twin_store.evidence import EvidenceReader
from twin_store.messages.base import format_instant
from twin_store.messages.codec import SECONDS_PER_DAY, instant_of
from twin_store.messages.decisions import QuestionKind
from twin_store.segments import Definitions

CUSTOMERS_MIN = 15
RECENT_DAYS = 56  # cases so old weigh next to nothing
CALIBRATE_SHARE = 0.3  # of the customers: the weeks are too few to split by time once more
Drawn = tuple[QuestionKind, str]


@dataclass(frozen=True)
class Effort:
    """How to make a challenger: labels to draw of each kind, held-out days, and the age at which a case counts half."""

    labels: int = 24_000
    held_out_days: int = 7
    half_life_days: float = 10.0
    seed: int = 1
    threads: int = 1


@dataclass(frozen=True)
class Challenger:
    """A model that was made, with what it was held to."""

    fitted: Fitted
    verdict: Verdict
    snapshots: Mapping[str, Visits]
    customers: int
    since: int


def make_challenger(
    workshop: Workshop,
    segment: str,
    champion: Fitted,
    definitions: Definitions,
    effort: Effort,
    say: Callable[[str], None] = lambda line: None,
    life_stages: Mapping[str, str] = MappingProxyType({}),
) -> Challenger:
    """Fit and judge a challenger of a segment, on everything that the workshop holds.

    `life_stages` of the customers go into the snapshot that drift is measured against.

    Raises:
        NotEnoughHistoryError: it has too few customers, or too few cases to fit or to judge on.
    """
    segments = segments_of(workshop, definitions)
    whose = {customer for customer, name in segments.items() if name == segment}
    if len(whose) < CUSTOMERS_MIN:
        raise NotEnoughHistoryError(
            f"{segment} has {len(whose)} customers by {instant_of(workshop.end):%Y-%m-%d}; a model of its own takes "
            f"{CUSTOMERS_MIN}: it stays with the model of all"
        )
    say(f"{len(whose)} customers are in {segment}")
    shop = workshop.shop.of_customers(whose)
    gate_from = workshop.end - effort.held_out_days * SECONDS_PER_DAY
    since = max(workshop.first_case, workshop.end - RECENT_DAYS * SECONDS_PER_DAY)
    affinity = workshop.affinity(gate_from)
    heads: dict[Drawn, Head] = {}
    rows: dict[QuestionKind, tuple[Judged, Judged]] = {}
    for drawn in _drawn(champion):
        cases = list(_draw(shop, drawn, since, gate_from, effort))
        head = _fitted(workshop, cases, gate_from, effort)
        if head is None:
            say(f"{drawn[0]} ({drawn[1]}): too few cases of this segment, the champion's head stays")
            continue
        heads[drawn] = head
        if drawn[1] == FLOOR or (drawn[0], FLOOR) not in champion.heads:
            held = list(_draw(shop, drawn, gate_from, workshop.end, replace(effort, seed=effort.seed + 1)))
            if sum(len(case.labels) for case in held) >= LABELS_MIN:
                rows[drawn[0]] = (
                    _asked(workshop, champion.heads[drawn], champion.affinity, held),
                    _asked(workshop, head, affinity, held),
                )
    if not heads:
        raise NotEnoughHistoryError(f"{segment} has too few cases of any kind of question to learn from")
    if not rows:
        raise NotEnoughHistoryError(
            f"{segment} has too few cases in its last {effort.held_out_days} days to judge a challenger on"
        )
    verdict = verdict_of(rows)
    say(verdict.in_a_line())
    # Only what was judged and found no worse is taken over.
    kept = {drawn: head for drawn, head in heads.items() if verdict.takes(drawn[0])}
    return Challenger(
        Fitted({**champion.heads, **kept}, affinity),
        verdict,
        snapshot.snapshot(workshop.history.lines, segments, life_stages, workshop.end),
        len(whose),
        since,
    )


def publish_challenger(
    registry: Registry,
    line: str,
    made: Challenger,
    parent: str | None,
    until: int,
    created_at: str,
    effort: Effort,
) -> Manifest:
    """Store it as a candidate: it answers nobody before it is promoted."""
    files = made.fitted.to_files() | {snapshot.FILE: snapshot.to_bytes(made.snapshots)}
    return registry.publish(
        line,
        format_instant(instant_of(until)),
        created_at,
        files,
        made.verdict.to_json(),
        {"effort": asdict(effort), "customers": made.customers},
        parent=parent,
        since=format_instant(instant_of(made.since)),
        current=False,
    )


def _drawn(champion: Fitted) -> Sequence[Drawn]:
    """The kinds to fit: those that the champion answers and that a segment can have enough cases of."""
    wanted: tuple[Drawn, ...] = (
        ("purchase", FLOOR),
        ("purchase", MATCHED),
        ("promotion_response", FLOOR),
        ("basket_completion", MATCHED),
    )
    return [drawn for drawn in wanted if drawn in champion.heads]


def _draw(shop: Shop, drawn: Drawn, start: int, end: int, effort: Effort) -> Iterator[Case]:
    kind, how = drawn
    if how == FLOOR:
        return floor(shop, kind, start, end, effort.labels, effort.seed)
    if kind == "purchase":
        return matched.purchases(shop, start, end, effort.labels, effort.seed)
    return matched.completions(shop, start, end, effort.labels // (2 * matched.OPTIONS), effort.seed)


def _fitted(workshop: Workshop, cases: list[Case], moment: int, effort: Effort) -> Head | None:
    """A head for these cases, None where they are too few or all alike."""
    if sum(len(case.labels) for case in cases) < LABELS_MIN:
        return None
    ordered = sorted(cases, key=lambda case: case.as_of)
    table = workshop.table(ordered)
    age_days = (moment - table.seconds) / SECONDS_PER_DAY
    table = replace(table, weights=table.weights * 0.5 ** (age_days / effort.half_life_days))
    counts = [len(case.labels) for case in ordered]
    later = np.repeat([_is_to_calibrate(case.customer_id) for case in ordered], counts)
    if table.kind in ONE_IS_TRUE:  # a temperature is fitted without weights, so on what is recent alone
        later &= age_days <= 2 * effort.half_life_days
    try:
        return Head.fit(table.where(~later), table.where(later), effort.seed, effort.threads)
    except ValueError:
        return None


def _is_to_calibrate(customer: str) -> bool:
    return xxhash.xxh3_64_intdigest(customer.encode()) % 1_000 < 1_000 * CALIBRATE_SHARE


def _asked(workshop: Workshop, head: Head, affinity: Affinity, cases: list[Case]) -> Judged:
    """What a head says of these cases, read as its own version reads them."""
    ordered = sorted(cases, key=lambda case: case.as_of)
    reader = EvidenceReader(workshop.products, affinity)
    table: Table = build_table(ordered, workshop.replay, lambda _second: reader)
    probabilities = head.probabilities(head.scores(table.evidence), table.cases, table.segments)
    groups = np.repeat([case.customer_id for case in ordered], [len(case.labels) for case in ordered])
    return Judged(table.labels, probabilities, groups, table.weights)
