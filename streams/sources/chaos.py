"""Faults on purpose: duplicates, late arrivals and poison, the same ones every time for one seed.

What is injected leaves the truth as it was: duplicates are the same bytes again, late receipts still come,
and poison is an extra, corrupted copy under a transaction id of its own. So totals stay verifiable.
"""

from __future__ import annotations

import difflib
import heapq
import itertools
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

import xxhash

from streams.errors import UsageError
from streams.sources.poison import corrupt, poison_kinds
from streams.sources.record import Record
from streams.topics import TOPIC_BY_NAME, TRANSACTIONS

LATE_DEFAULT_S = 86_400
UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True)
class Chaos:
    """Shares of the records that get each fault, how late they may arrive, and the seed.

    Half of the duplicates follow at once, as a producer's retry does, the others up to `late_s` later.
    `topics` are names without the deployment's prefix; only receipts unless said.
    """

    duplicates: float = 0.0
    out_of_order: float = 0.0
    late_s: int = LATE_DEFAULT_S
    poison: float = 0.0
    seed: int = 0
    topics: frozenset[str] = frozenset({TRANSACTIONS.name})

    def __post_init__(self) -> None:
        for name in ("duplicates", "out_of_order", "poison"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise UsageError(f"chaos: {name}={share} is not a share between 0 and 1")
        if self.late_s < 1:
            raise UsageError(f"chaos: late={self.late_s}s is not a delay; give at least 1s")
        unknown = sorted(self.topics - set(TOPIC_BY_NAME))
        if unknown:
            raise UsageError(
                f"chaos: there is no topic {', '.join(unknown)}; known: {', '.join(TOPIC_BY_NAME)}"
            )


@dataclass
class ChaosReport:
    """Exact counts of what was injected. `delayed` were held back, `overtaken` are those of them that arrived
    after a record of a later time; `poison` counts by kind, `poisoned` are the `fingerprint`s of those messages."""

    records: int = 0
    duplicates_at_once: int = 0
    duplicates_later: int = 0
    delayed: int = 0
    overtaken: int = 0
    poison: Counter[str] = field(default_factory=Counter)
    poisoned: set[str] = field(default_factory=set)

    @property
    def duplicates(self) -> int:
        """All duplicates."""
        return self.duplicates_at_once + self.duplicates_later


def fingerprint(value: bytes) -> str:
    """Tells a message's bytes from any others."""
    return xxhash.xxh3_128_hexdigest(value)


def parse_chaos(text: str) -> Chaos:
    """`duplicates=0.1,out_of_order=0.2,late=7d,poison=0.01,seed=1`, and `topics=A+B`.

    Raises `UsageError` naming the part that is wrong.
    """
    given: dict[str, object] = {}
    known = ["late" if each.name == "late_s" else each.name for each in fields(Chaos)]
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if name not in known or not equals:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}=?" if close else f"; known: {', '.join(known)}"
            raise UsageError(f"chaos: {part!r} is not a fault{hint}")
        try:
            if name == "late":
                given["late_s"] = parse_duration(value)
            elif name == "topics":
                given["topics"] = frozenset(value.split("+"))
            else:
                given[name] = int(value) if name == "seed" else float(value)
        except ValueError as error:
            raise UsageError(f"chaos: {part!r}: {error}") from None
    return Chaos(**given)  # type: ignore[arg-type]


def parse_duration(text: str) -> int:
    """`90s`, `15m`, `12h` or `7d` in seconds. Raises `ValueError`."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", text)
    if match is None:
        raise ValueError("a duration is a number and s, m, h or d, such as 7d")
    return round(float(match[1]) * UNIT_S[match[2]])


@dataclass(order=True)
class _Arrival:
    """A record on its way: `at` orders, then `turn`. It counts unless it is a duplicate or poison."""

    at: int
    turn: int
    record: Record = field(compare=False)
    counts: bool = field(compare=False)


def inject(records: Iterable[Record], chaos: Chaos, report: ChaosReport) -> Iterator[Record]:
    """The records with faults injected, in order of arrival; `report` is filled as they are taken."""
    choose = random.Random(chaos.seed)
    waiting: list[_Arrival] = []
    newest: dict[str, int] = {}
    turns = itertools.count()
    for record in records:
        yield from _due(waiting, record.at_seconds, newest, report)
        if record.topic.name not in chaos.topics:
            yield record
            continue
        for at, copy, counts in _copies(record, chaos, choose, report):
            copy = copy._replace(delay_s=at - copy.at_seconds)
            heapq.heappush(waiting, _Arrival(at, next(turns), copy, counts))
        yield from _due(waiting, record.at_seconds, newest, report)
    yield from _due(waiting, None, newest, report)


def _copies(
    record: Record, chaos: Chaos, choose: random.Random, report: ChaosReport
) -> Iterator[tuple[int, Record, bool]]:
    """(arrival, copy, whether it counts): the record, its duplicate and its poison if it gets them."""
    report.records += 1
    at = record.at_seconds
    if choose.random() < chaos.out_of_order:
        report.delayed += 1
        at += choose.randint(1, chaos.late_s)
    yield at, record, True
    if choose.random() < chaos.duplicates:
        later = choose.random() < 0.5
        report.duplicates_later += later
        report.duplicates_at_once += not later
        yield at + (choose.randint(1, chaos.late_s) if later else 0), _uncounted(record), False
    if record.value is not None and choose.random() < chaos.poison:
        serial = report.poison.total()
        kinds = poison_kinds(record.topic)
        kind = kinds[serial % len(kinds)]  # in turn, so that every kind is met
        report.poison[kind] += 1
        body = corrupt(kind, record.topic, record.value, serial)
        report.poisoned.add(fingerprint(body))
        yield at, _uncounted(record)._replace(value=body), False


def _uncounted(record: Record) -> Record:
    """A copy that adds nothing to the totals."""
    return record._replace(lines=0, net_minor=0)


def _due(
    waiting: list[_Arrival], now: int | None, newest: dict[str, int], report: ChaosReport
) -> Iterator[Record]:
    """What has arrived by `now`; all of it when None. `newest` is the latest event time sent, by topic."""
    while waiting and (now is None or waiting[0].at <= now):
        arrival = heapq.heappop(waiting)
        if arrival.counts:
            topic, happened_at = arrival.record.topic.name, arrival.record.at_seconds
            before = newest.get(topic, happened_at)
            report.overtaken += happened_at < before
            newest[topic] = max(before, happened_at)
        yield arrival.record
