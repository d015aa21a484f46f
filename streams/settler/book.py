"""The answers of one partition that are not settled yet: who they are about, and when to look at them again.

What a batch changes holds at once, and is taken back if its transaction is aborted. `changes` are the records of
the changelog, from which the book is opened again.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec
import xxhash

from streams.settler.event_time import EventTime
from twin_store.outcomes import Unsettled
from twin_store.store.base import Change

ANSWER, SKUS = b"a", b"s"
SHARED_FROM_BYTES = 1_024  # a campaign's list of skus is that of its whole audience: kept once


class Stored(msgspec.Struct, array_like=True):
    """An answer as the changelog has it: a long list of skus is a record of its own, named by `digest`."""

    answer: Unsettled
    digest: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Stored).decode


class Book:
    """Open answers by id, and the event time `time` by which they are due."""

    def __init__(self, records: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Open from the newest record of each key."""
        self._answers: dict[str, Unsettled] = {}
        self._of_customer: dict[str, set[str]] = {}
        self._look_at: dict[str, int] = {}
        self._queue: list[tuple[int, str]] = []
        self._at_once: dict[str, None] = {}
        self._shared: dict[bytes, bytes] = {}
        self._uses: Counter[bytes] = Counter()
        self._stored: set[bytes] = set()
        self._added: dict[str, Unsettled] = {}
        self._removed: dict[str, Unsettled] = {}
        self._looked: list[str] = []
        self.time = EventTime()
        self._open(dict(records))

    def _open(self, records: dict[bytes, bytes]) -> None:
        for key, value in records.items():
            if key[:1] == SKUS:
                self._shared[key[1:]] = value
        self._stored = set(self._shared)
        for key, value in records.items():
            if key[:1] == ANSWER:
                found = _decode(value)
                answer = found.answer
                if found.digest:
                    answer = msgspec.structs.replace(answer, skus=self._shared[found.digest])
                self._put(answer)
                self._at_once[answer.query_id] = None

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, answer: Unsettled) -> None:
        """Open an answer; one that is open already stays."""
        if answer.query_id not in self._answers:
            self._put(answer)
            self._added[answer.query_id] = answer
            self._at_once[answer.query_id] = None

    def remove(self, query_id: str) -> None:
        """Close an answer: it is settled, or to be forgotten."""
        self._removed[query_id] = self._drop(query_id)

    def touch(self, customer_id: str) -> None:
        """Something happened to a customer: her answers are worth a look."""
        self._at_once.update(dict.fromkeys(sorted(self._of_customer.get(customer_id, ()))))

    def look_at(self, query_id: str, second: int) -> None:
        """Look at an answer when event time reaches `second`, and not before unless its customer is touched."""
        if self._look_at.get(query_id) != second:
            self._look_at[query_id] = second
            heapq.heappush(self._queue, (second, query_id))

    def is_due(self) -> bool:
        """Whether an answer is worth a look."""
        return bool(self._at_once) or (bool(self._queue) and self._queue[0][0] <= self.time.reached)

    def due(self, limit: int) -> Iterator[Unsettled]:
        """The answers worth a look, at most so many; whoever gets one removes it or says when to look again."""
        while limit > 0 and self.is_due():
            if self._at_once:
                query_id, _ = self._at_once.popitem()
            else:
                second, query_id = heapq.heappop(self._queue)
                if self._look_at.get(query_id) != second:
                    continue  # it was settled, or is to be looked at later
                del self._look_at[query_id]
            limit -= 1
            self._looked.append(query_id)
            yield self._answers[query_id]

    def changes(self) -> list[Change]:
        """The changelog records of everything since the last commit."""
        changes: list[Change] = []
        for query_id, answer in self._added.items():
            if query_id not in self._removed:
                changes.append((ANSWER + query_id.encode(), self._as_stored(answer)))
        for query_id in self._removed:
            if query_id not in self._added:
                changes.append((ANSWER + query_id.encode(), None))
        for digest in self._touched_lists():
            if self._uses[digest] and digest not in self._stored:
                changes.append((SKUS + digest, self._shared[digest]))
            elif not self._uses[digest] and digest in self._stored:
                changes.append((SKUS + digest, None))
        return changes

    def committed(self) -> None:
        """Everything since the last commit holds."""
        for digest in self._touched_lists():
            if self._uses[digest]:
                self._stored.add(digest)
            else:
                self._stored.discard(digest)
        self._forget_batch()

    def aborted(self) -> None:
        """Nothing since the last commit has happened."""
        for answer in self._removed.values():
            self._put(answer)
        for query_id in self._added:
            self._drop(query_id)
        looked = (*self._looked, *self._removed)
        self._at_once.update({query_id: None for query_id in looked if query_id in self._answers})
        self._forget_batch()

    def _forget_batch(self) -> None:
        for digest in self._touched_lists():
            if not self._uses[digest]:
                del self._uses[digest]
                self._shared.pop(digest, None)
        self._added.clear()
        self._removed.clear()
        self._looked.clear()

    def _put(self, answer: Unsettled) -> None:
        digest = _digest(answer.skus)
        if digest:
            answer = msgspec.structs.replace(answer, skus=self._shared.setdefault(digest, answer.skus))
            self._uses[digest] += 1
        self._answers[answer.query_id] = answer
        self._of_customer.setdefault(answer.customer_id, set()).add(answer.query_id)

    def _drop(self, query_id: str) -> Unsettled:
        answer = self._answers.pop(query_id)
        self._look_at.pop(query_id, None)
        self._at_once.pop(query_id, None)
        of_customer = self._of_customer[answer.customer_id]
        of_customer.discard(query_id)
        if not of_customer:
            del self._of_customer[answer.customer_id]
        digest = _digest(answer.skus)
        if digest:
            self._uses[digest] -= 1
        return answer

    def _touched_lists(self) -> list[bytes]:
        """Digests of the long lists that this batch's answers name."""
        digests = {_digest(answer.skus) for answer in (*self._added.values(), *self._removed.values())}
        return sorted(digests - {b""})

    def _as_stored(self, answer: Unsettled) -> bytes:
        digest = _digest(answer.skus)
        if digest:
            answer = msgspec.structs.replace(answer, skus=b"")
        return _encode(Stored(answer, digest))


def _digest(skus: bytes) -> bytes:
    """The name of a list that is kept once; empty for one that is short enough to stand in its answer."""
    return xxhash.xxh3_128_digest(skus) if len(skus) > SHARED_FROM_BYTES else b""
