"""Closed windows into readings and trips: everything that a verdict takes is in the readings before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from streams.agents.drift_windows import Window
from trainer.drift.performance import Tally, z_against
from trainer.drift.psi import stability
from trainer.drift.rule import Reading, Thresholds, judged, reference_of, trips
from trainer.drift.visits import Visits
from twin_store.messages import DriftReading, DriftTrip
from twin_store.messages.codec import epoch_seconds, instant_of

KEPT = 200  # readings of a segment in memory


@dataclass(frozen=True)
class Closed:
    """What a window gave; no trip in most."""

    reading: DriftReading
    trip: DriftTrip | None


class Judge:
    """Remembers the readings of each segment, in order of their windows."""

    def __init__(
        self,
        window_s: int,
        baseline: Callable[[str], Visits | None],
        thresholds: Callable[[str], Thresholds],
    ) -> None:
        """`baseline` has the trips that a segment's champion was trained on, `thresholds` the limits of a segment."""
        self._window_s = window_s
        self._baseline = baseline
        self._thresholds = thresholds
        self._known: dict[str, list[Reading]] = {}

    def recall(self, reading: DriftReading) -> None:
        """A reading that was published before."""
        known = self._known.setdefault(reading.segment, [])
        if known and epoch_seconds(reading.window_end) <= known[-1].end:
            return
        self._known[reading.segment] = [*known, as_read(reading)][-KEPT:]

    def close(self, segment: str, start: int, parts: Iterable[Window]) -> Closed | None:
        """The reading of a window; None if it was read before. It is remembered at once: publish it, or end."""
        known = self._known.get(segment, [])
        end = start + self._window_s
        if known and end <= known[-1].end:
            return None
        windows = list(parts)
        visits = Visits().add_all(window.visits for window in windows)
        tallies: dict[str, list[Tally]] = {}
        for window in windows:
            for name, some in window.tallies.items():
                tallies.setdefault(name, []).append(some)
        merged = {name: Tally().add_all(some) for name, some in tallies.items()}
        version = max(merged, key=lambda name: (merged[name].options, name), default=None)
        tally = Tally() if version is None else merged[version]
        baseline = self._baseline(segment)
        sizes = {} if baseline is None else {f"psi.{n}": v for n, v in stability(baseline, visits).items()}
        gap = excess = None
        shift = None
        if tally.options:
            sizes |= {"brier": tally.brier / tally.options, "ece": tally.ece()}
        if tally.is_enough():
            gap, excess = tally.mean(1), tally.mean(2)
            sizes |= {"gap": gap[0], "excess": excess[0], "adwin": float(any(w.changes for w in windows))}
            reference = reference_of(known, version)
            if reference is not None and reference.gap and reference.excess:
                sizes |= {
                    "gap_z": z_against(gap, reference.gap),
                    "excess_z": z_against(excess, reference.excess),
                }
                shift = gap[0] - reference.gap[0]
        sizes = {name: round(size, 5) for name, size in sizes.items()}
        beyond, calm = judged(sizes, shift, self._thresholds(segment))
        reading = DriftReading(
            segment=segment,
            window_start=instant_of(start),
            window_end=instant_of(end),
            visits=visits.count,
            options=tally.options,
            customers=len(tally.by_customer),
            decider_version=version,
            sizes=sizes,
            beyond=beyond,
            calm=calm,
            gap_error=None if gap is None else gap[1],
            excess_error=None if excess is None else excess[1],
        )
        self.recall(reading)
        return Closed(reading, self._trip(reading) if trips(self._known[segment]) else None)

    @staticmethod
    def _trip(reading: DriftReading) -> DriftTrip:
        is_psi = reading.beyond[0].startswith("psi.")
        related = () if is_psi else ("gap", "excess", "brier", "ece", "adwin")
        named = (*reading.beyond, *(name for name in related if name in reading.sizes))
        return DriftTrip(
            segment=reading.segment,
            window_start=reading.window_start,
            window_end=reading.window_end,
            measure="population_stability" if is_psi else "performance",
            sizes={name: reading.sizes[name] for name in named},
            samples=reading.visits if is_psi else reading.options,
        )


def as_read(reading: DriftReading) -> Reading:
    """A published reading as the rule takes it."""
    sizes = reading.sizes
    errors = (reading.gap_error, reading.excess_error)
    return Reading(
        epoch_seconds(reading.window_end),
        reading.decider_version,
        sizes,
        reading.options,
        None if errors[0] is None else (sizes["gap"], errors[0]),
        None if errors[1] is None else (sizes["excess"], errors[1]),
        tuple(reading.beyond),
        reading.calm,
    )
