"""One partition in the worker: the twins it follows, the queries answered, the queries that wait."""

from dataclasses import dataclass

from streams.kafka import topic_name
from streams.replica import TwinReplica
from streams.settings import Settings
from streams.topics import STATE, WORKER_STATE
from streams.updater.recovery import restore
from streams.worker.answered import Answered
from twin_store.messages import Query
from twin_store.store.memory import MemoryStore


@dataclass(frozen=True, slots=True)
class Waiting:
    """A query that was read and is not answered yet. `since` is monotonic seconds."""

    query: Query
    as_of: int
    offset: int
    since: float


class PartitionState:
    """What belongs to partition p. What a batch changes is staged until its transaction is committed.

    Attributes:
        held: queries that wait for their twin.
        queued: queries that wait for room at the language model.
        flying: queries that are at it.
    """

    def __init__(self, settings: Settings, reader: str, number: int, with_symbols: bool = False) -> None:
        """Restore it from the changelogs; `reader` names the process and its member.

        `with_symbols` keeps what the keys in twins stand for, for whoever must name it.
        """
        store = MemoryStore()
        restore(settings, number, store, WORKER_STATE)
        self.number = number
        self.changelog = topic_name(settings, STATE)
        self.answered = Answered(store.scan(b""))
        self.replica = TwinReplica(settings, reader, number, with_symbols=with_symbols)
        self.held: dict[str, Waiting] = {}
        self.queued: dict[str, Waiting] = {}
        self.flying: dict[str, Waiting] = {}
        self._fresh: dict[str, Waiting] = {}
        self._kept: dict[str, Waiting] = {}
        self._queued: dict[str, Waiting] = {}

    def add(self, waiting: Waiting) -> bool:
        """Take a query in; False if it was answered before or waits already."""
        query_id = waiting.query.query_id
        known = (self.held, self.queued, self.flying, self._fresh, self.answered)
        if any(query_id in each for each in known):
            return False
        self._fresh[query_id] = waiting
        return True

    def ready(self, now: float, hold_s: float) -> list[Waiting]:
        """The queries to answer now; the others wait on.

        Whoever names where her twin stood waits, for `hold_s` at most, until the replica has come as far.
        """
        found: list[Waiting] = []
        self._kept, self._queued = {}, {}
        for query_id, waiting in (*self.held.items(), *self.queued.items(), *self._fresh.items()):
            is_patient = waiting.query.twin_position and now - waiting.since < hold_s
            if is_patient and self.is_behind(waiting):
                self._kept[query_id] = waiting
            else:
                found.append(waiting)
        return found

    def queue(self, waiting: Waiting) -> None:
        """A query that is ready finds no room; it is ready again next time."""
        self._queued[waiting.query.query_id] = waiting

    def launch(self, waiting: Waiting) -> None:
        """A query that is ready goes to the model."""
        self.flying[waiting.query.query_id] = waiting

    def land(self, query_id: str) -> None:
        """A query at the model is answered in this batch."""
        del self.flying[query_id]

    def is_behind(self, waiting: Waiting) -> bool:
        """Whether the replica has not come to the moment of the query."""
        return self.replica.twin(waiting.query.customer_id).last_second < waiting.as_of

    @property
    def done_until(self) -> int | None:
        """The offset before which everything is answered, None if that is all that was read."""
        unanswered = (*self._kept.values(), *self._queued.values(), *self.flying.values())
        return min((waiting.offset for waiting in unanswered), default=None)

    def committed(self) -> None:
        """What was answered since the last commit is answered."""
        self.answered.committed()
        self.held, self.queued = self._kept, self._queued
        self._kept, self._queued, self._fresh = {}, {}, {}

    def aborted(self) -> None:
        """Nothing since the last commit was answered; what waits or is at the model is read again too."""
        self.answered.aborted()
        self.held, self.queued, self.flying = {}, {}, {}
        self._kept, self._queued, self._fresh = {}, {}, {}

    def close(self) -> None:
        """Let go of the replica."""
        self.replica.close()
