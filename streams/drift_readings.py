"""Readings and trips, read back from their topics for people."""

from __future__ import annotations

from dataclasses import dataclass

from streams.kafka import read_to_end
from streams.settings import Settings
from streams.topics import DRIFT, DRIFT_READINGS
from twin_store.messages import DriftReading, DriftTrip
from twin_store.messages.codec import decode


@dataclass(frozen=True)
class Drift:
    """Readings in order of window and segment, and the trips among them."""

    readings: list[DriftReading]
    trips: list[DriftTrip]

    def trip_of(self, reading: DriftReading) -> DriftTrip | None:
        """The trip that a reading made."""
        place = (reading.segment, reading.window_end)
        return next((trip for trip in self.trips if (trip.segment, trip.window_end) == place), None)


def read_drift(settings: Settings, segment: str | None = None, last: int = 10_000) -> Drift:
    """The last windows of one segment or of each, every one once. Raises `KafkaReadError`, `BadMessage`."""
    readings: dict[str, dict[object, DriftReading]] = {}
    for message in read_to_end(settings, DRIFT_READINGS):
        reading = decode(DriftReading, message.value())
        readings.setdefault(reading.segment, {}).setdefault(reading.window_end, reading)
    trips: dict[tuple[str, object], DriftTrip] = {}
    for message in read_to_end(settings, DRIFT):
        trip = decode(DriftTrip, message.value())
        trips.setdefault((trip.segment, trip.window_end), trip)
    kept = [
        reading
        for name, by_end in readings.items()
        if segment in (None, name)
        for reading in sorted(by_end.values(), key=lambda each: each.window_end)[-last:]
    ]
    kept.sort(key=lambda each: (each.window_end, each.segment))
    return Drift(kept, [trip for trip in trips.values() if segment in (None, trip.segment)])
