"""The drift monitor without Faust: profiles and outcomes into windows, closed windows into readings and trips.

Order of a round: trips and readings are delivered, then the partitions' windows with the offsets they include, then
what was last seen of each customer; only then do the records count as read. A window that is closed again after a
crash has a reading already and says nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from streams.agents.drift_readings import Closed, Judge
from streams.agents.drift_windows import LastSeen, PartitionWindows, Window
from streams.dead_letters import Origin
from streams.decoding import FastDecoder
from streams.topics import OUTCOMES, PROFILES, Topic
from trainer.drift.visits import DAY_S
from twin_store.messages import Outcome, Profile
from twin_store.messages.codec import BadMessage, epoch_seconds

NOTHING = LastSeen(0, 0, 0, 0, {}, {})
_last_seen = msgspec.msgpack.Decoder(LastSeen)


@dataclass
class Round:
    """What a round changed: customers by key, and the windows that closed."""

    customers: dict[bytes, bytes | None]
    closed: list[Closed]


class DriftMonitor:
    """The monitor of the partitions that it is given records of.

    Args:
        kept: the stored value of a key: a customer's, or `partition_key`.
        segment_of: where a customer is, by her last move.
    """

    def __init__(
        self,
        judge: Judge,
        kept: Callable[[bytes], bytes | None],
        segment_of: Callable[[str], str],
        window_s: int = 7 * DAY_S,
        grace_s: int = 2 * DAY_S,
    ) -> None:
        self.partitions: dict[int, PartitionWindows] = {}
        self._judge = judge
        self._kept = kept
        self._segment_of = segment_of
        self._window_s, self._grace_s = window_s, grace_s
        self._profile = FastDecoder(Profile, only=("version", "customer_id", "dna"))
        self._outcome = FastDecoder(
            Outcome,
            only=(
                "version",
                "customer_id",
                "settled_at",
                "void",
                "truths",
                "probabilities",
                "decider_version",
            ),
        )

    def forget(self, held: Iterable[int]) -> None:
        """Only these partitions are ours now; what is not held any more is read back when it returns."""
        self.partitions = {p: state for p, state in self.partitions.items() if p in set(held)}

    def take(self, records: Iterable[tuple[Topic, Origin]]) -> Round:
        """Count records in order. What cannot be read is passed over: who wrote it, or reads it first, buries it."""
        customers: dict[bytes, bytes | None] = {}
        for topic, origin in records:
            state = self._state(origin.partition)
            if origin.offset <= state.offsets.get(topic.name, -1):
                continue
            state.offsets[topic.name] = origin.offset
            try:
                if topic is PROFILES:
                    self._take_profile(state, origin, customers)
                elif topic is OUTCOMES:
                    self._take_outcome(state, origin)
            except (BadMessage, ValueError):
                continue
        return Round(customers, self._close())

    def _state(self, partition: int) -> PartitionWindows:
        if partition not in self.partitions:
            kept = self._kept(partition_key(partition))
            self.partitions[partition] = PartitionWindows.decode(kept, self._window_s)
        return self.partitions[partition]

    def _take_profile(
        self, state: PartitionWindows, origin: Origin, customers: dict[bytes, bytes | None]
    ) -> None:
        key = origin.key or b""
        if origin.value is None:
            customers[key] = None
            return
        profile: Any = self._profile(origin.value)
        now = _seen(profile.dna)
        before = customers[key] if key in customers else self._kept(key)
        last = NOTHING if before is None else _last_seen.decode(before)
        customers[key] = msgspec.msgpack.encode(now)
        if now.second > 0:
            state.see(profile.customer_id, now.second)
        visit = None if before is None else last.trip_until(now, profile.dna.life_stage)
        if visit is not None:
            state.visit(self._segment_of(profile.customer_id), visit)

    def _take_outcome(self, state: PartitionWindows, origin: Origin) -> None:
        outcome: Any = self._outcome(origin.value)
        if outcome.void:
            return
        segment, second = self._segment_of(outcome.customer_id), epoch_seconds(outcome.settled_at)
        said, truths = list(outcome.probabilities), list(outcome.truths)
        state.outcome(segment, second, outcome.customer_id, outcome.decider_version, said, truths)

    def _close(self) -> list[Closed]:
        times = [state.event_time for state in self.partitions.values() if state.event_time]
        until = min(times, default=0) - self._grace_s
        parts: dict[tuple[int, str], list[Window]] = {}
        for state in self.partitions.values():
            for (segment, start), window in state.take_until(until).items():
                parts.setdefault((start, segment), []).append(window)
        closed = (
            self._judge.close(segment, start, parts[start, segment]) for start, segment in sorted(parts)
        )
        return [each for each in closed if each is not None]


def partition_key(partition: int) -> bytes:
    """Where a partition's windows are kept; no customer has such an id."""
    return b"\0windows-%d" % partition


def segments_by_customer(moves: Mapping[str, str], fallback: str) -> Callable[[str], str]:
    """Where a customer is, by the last moves of all."""
    return lambda customer: moves.get(customer, fallback)


def _seen(dna: Any) -> LastSeen:
    activity = dna.activity
    return LastSeen(
        activity.receipts,
        activity.lines,
        round(float(activity.spend) * 100),
        0 if activity.last_seen is None else epoch_seconds(activity.last_seen),
        dict(dna.stores),
        dict(dna.channels),
    )
