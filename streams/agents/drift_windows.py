"""What the drift monitor keeps of one partition: open windows, how far its event time has come, what was included.

One value a partition, written after every round with the offsets that it includes, so that a restart neither loses a
record nor counts one twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from trainer.drift.performance import ChangeDetector, Tally
from trainer.drift.visits import DAY_S, Visit, Visits

WITNESSES = 3  # one customer with a wrong clock must not close everybody's windows


@dataclass
class Window:
    """What happened in one window to one segment's customers of one partition."""

    visits: Visits = field(default_factory=Visits)
    tallies: dict[str, Tally] = field(default_factory=dict)  # by the version that answered
    changes: int = 0  # how often the detector saw one


class LastSeen(msgspec.Struct, array_like=True):
    """What a customer's last profile said: what her next trip adds is the difference."""

    receipts: int
    lines: int
    spend_minor: int
    second: int
    stores: dict[str, int]
    channels: dict[str, int]

    def trip_until(self, now: LastSeen, life_stage: str | None) -> Visit | None:
        """The trip between two profiles, the mean one where there were several; None if there was none."""
        trips = now.receipts - self.receipts
        if trips <= 0 or now.second <= 0 or now.lines <= self.lines:
            return None
        gap = (now.second - self.second) / trips if self.receipts and now.second > self.second else None
        return Visit(
            now.second,
            (now.lines - self.lines) / trips,
            (now.spend_minor - self.spend_minor) / trips,
            gap,
            _grown(self.stores, now.stores),
            _grown(self.channels, now.channels),
            life_stage,
        )


class PartitionWindows:
    """The open windows of one partition.

    Attributes:
        offsets: by topic, the last record that is included.
        closed_until: epoch seconds; what happened before it comes too late.
    """

    def __init__(self, window_s: int) -> None:
        self.offsets: dict[str, int] = {}
        self.closed_until = 0
        self.windows: dict[tuple[str, int], Window] = {}
        self._window_s = window_s
        self._witnesses: dict[str, int] = {}
        self._detectors: dict[str, ChangeDetector] = {}

    @property
    def event_time(self) -> int:
        """How far the events have come, epoch seconds; 0 before there are enough of them."""
        return min(self._witnesses.values()) if len(self._witnesses) >= WITNESSES else 0

    def start_of(self, second: int) -> int:
        """When the window of a moment begins. Windows of whole weeks begin on Mondays."""
        monday = 4 * DAY_S
        return (second - monday) // self._window_s * self._window_s + monday

    def see(self, customer: str, second: int) -> None:
        """Event time goes on."""
        if second > self._witnesses.get(customer, 0):
            self._witnesses[customer] = second
            if len(self._witnesses) > WITNESSES:
                del self._witnesses[min(self._witnesses, key=lambda name: self._witnesses[name])]

    def visit(self, segment: str, visit: Visit) -> None:
        """Count a trip; one that comes too late is passed over."""
        window = self._window(segment, visit.second)
        if window is not None:
            window.visits.add(visit)

    def outcome(
        self,
        segment: str,
        second: int,
        customer: str,
        version: str,
        probabilities: list[float],
        truths: list[int],
    ) -> None:
        """Count a settled answer."""
        window = self._window(segment, second)
        if window is None or not truths or len(truths) != len(probabilities):
            return
        window.tallies.setdefault(version, Tally()).add(customer, probabilities, truths)
        detector = self._detectors.setdefault(segment, ChangeDetector())
        mean = sum(t - p for p, t in zip(probabilities, truths, strict=True)) / len(truths)
        window.changes += detector.add(mean)

    def take_until(self, second: int) -> dict[tuple[str, int], Window]:
        """Take out the windows that ended by then."""
        done = {key: w for key, w in self.windows.items() if key[1] + self._window_s <= second}
        for key in done:
            del self.windows[key]
        self.closed_until = max([self.closed_until, *(start + self._window_s for _, start in done)])
        return done

    def encode(self) -> bytes:
        """As it is kept."""
        return msgspec.msgpack.encode(
            {
                "offsets": self.offsets,
                "closed_until": self.closed_until,
                "witnesses": self._witnesses,
                "windows": [[segment, start, _plain(w)] for (segment, start), w in self.windows.items()],
                "recent": {segment: each.recent for segment, each in self._detectors.items()},
            }
        )

    @classmethod
    def decode(cls, data: bytes | None, window_s: int) -> PartitionWindows:
        """Inverse of `encode`; a new one of nothing."""
        found = cls(window_s)
        if data is None:
            return found
        plain: dict[str, Any] = msgspec.msgpack.decode(data)
        found.offsets, found.closed_until = plain["offsets"], plain["closed_until"]
        found._witnesses = plain["witnesses"]
        found._detectors = {segment: ChangeDetector(recent) for segment, recent in plain["recent"].items()}
        found.windows = {(segment, start): _window(each) for segment, start, each in plain["windows"]}
        return found

    def _window(self, segment: str, second: int) -> Window | None:
        start = self.start_of(second)
        if start + self._window_s <= self.closed_until:
            return None
        return self.windows.setdefault((segment, start), Window())


def _grown(before: dict[str, int], now: dict[str, int]) -> str | None:
    """The name whose count has grown most."""
    grown = {name: count - before.get(name, 0) for name, count in now.items()}
    best = max(grown, key=lambda name: (grown[name], name), default=None)
    return best if best is not None and grown[best] > 0 else None


def _plain(window: Window) -> list[Any]:
    tallies = {version: [t.by_customer, t.bins, t.brier] for version, t in window.tallies.items()}
    return [window.visits.to_json(), tallies, window.changes]


def _window(plain: list[Any]) -> Window:
    visits, tallies, changes = plain
    return Window(
        Visits.from_json(visits), {version: Tally(*each) for version, each in tallies.items()}, changes
    )
