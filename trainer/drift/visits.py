"""The DNA features of one trip, each in a bin that never moves, so that counts can be kept and added up.

Numbers of the twin's whole life hardly move when her behaviour does; what a trip adds to them does at once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

DAY_S = 86_400
NUMERIC = ("basket_lines", "line_spend", "gap_days", "hour", "weekday")
NAMED = ("store", "channel", "life_stage")
FEATURES = (*NUMERIC, *NAMED)
STEPS_AN_OCTAVE = 4  # bins of what is measured on a log scale


@dataclass(frozen=True)
class Visit:
    """What a trip added: `spend` in minor units, `gap_s` since the trip before, None for the first."""

    second: int
    lines: float
    spend: float
    gap_s: float | None
    store: str | None
    channel: str | None
    life_stage: str | None

    def bins(self) -> dict[str, str]:
        """The bin of each feature; one that is missing has none."""
        found = {
            "hour": str(self.second % DAY_S // 3_600),
            "weekday": str((self.second // DAY_S + 3) % 7),
        }
        named = {"store": self.store, "channel": self.channel, "life_stage": self.life_stage}
        found |= {name: value for name, value in named.items() if value is not None}
        measured = {
            "basket_lines": self.lines,
            "line_spend": self.spend / self.lines if self.lines > 0 else 0.0,
            "gap_days": 0.0 if self.gap_s is None else self.gap_s / DAY_S,
        }
        return found | {name: _octave(value) for name, value in measured.items() if value > 0}


@dataclass
class Visits:
    """Counts by feature and bin."""

    count: int = 0
    bins: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, visit: Visit) -> None:
        """Count a trip."""
        self.count += 1
        for name, where in visit.bins().items():
            self.bins.setdefault(name, Counter())[where] += 1

    def add_all(self, others: Iterable[Visits]) -> Visits:
        """These and all of those."""
        for other in others:
            self.count += other.count
            for name, counts in other.bins.items():
                self.bins.setdefault(name, Counter()).update(counts)
        return self

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {"count": self.count, "bins": {name: dict(counts) for name, counts in self.bins.items()}}

    @classmethod
    def from_json(cls, found: Mapping[str, object]) -> Visits:
        """Inverse of `to_json`. Raises `KeyError`, `TypeError` or `AttributeError` for what it has not written."""
        bins = found["bins"]
        return cls(int(found["count"]), {name: Counter(counts) for name, counts in bins.items()})  # type: ignore[attr-defined, call-overload]


def _octave(value: float) -> str:
    return str(math.floor(math.log2(value) * STEPS_AN_OCTAVE))
