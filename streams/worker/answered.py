"""The ids of the queries that were answered last, of one partition, as a ring of blocks.

Each block is one record of a compacted changelog, written in the transaction that has the answers. So a restart
knows exactly which queries were answered, without reading the answers, which are large.
"""

from collections.abc import Iterable
from hashlib import blake2b

from twin_store.store.base import Change

BLOCKS = 256
BLOCK_IDS = 256
ID_BYTES = 16
_NUMBER_BYTES = 8


class Answered:
    """The last `(BLOCKS - 1) * BLOCK_IDS` ids at least. A query that is raised again later than that is answered
    again; a planner that restarts raises again only what it was about to note when it died.
    """

    def __init__(self, records: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Open from the newest record of each key."""
        found = {}
        for _, value in records:
            ids = value[_NUMBER_BYTES:]
            found[int.from_bytes(value[:_NUMBER_BYTES], "big")] = [
                ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)
            ]
        self._newest = max(found, default=0)
        self._blocks = {number: ids for number, ids in found.items() if number > self._newest - BLOCKS}
        self._ids = {each for ids in self._blocks.values() for each in ids}
        self._fresh: dict[bytes, None] = {}

    def __contains__(self, query_id: str) -> bool:
        digest = _digest(query_id)
        return digest in self._ids or digest in self._fresh

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, query_id: str) -> None:
        """Note that a query is answered in this batch."""
        self._fresh[_digest(query_id)] = None

    def changes(self) -> list[Change]:
        """The changelog records of what was added since the last commit."""
        slots = {}
        for number, ids in self._grown().items():
            slots[number % BLOCKS] = number.to_bytes(_NUMBER_BYTES, "big") + b"".join(ids)
        return [(slot.to_bytes(2, "big"), value) for slot, value in slots.items()]

    def committed(self) -> None:
        """What was added holds."""
        self._blocks.update(self._grown())
        self._ids.update(self._fresh)
        self._newest = max(self._blocks, default=0)
        for number in [each for each in self._blocks if each <= self._newest - BLOCKS]:
            self._ids.difference_update(self._blocks.pop(number))
        self._fresh = {}

    def aborted(self) -> None:
        """What was added since the last commit was not answered."""
        self._fresh = {}

    def _grown(self) -> dict[int, list[bytes]]:
        """The newest block and those behind it, with what was added."""
        if not self._fresh:
            return {}
        ids = [*self._blocks.get(self._newest, ()), *self._fresh]
        return {
            self._newest + at // BLOCK_IDS: ids[at : at + BLOCK_IDS] for at in range(0, len(ids), BLOCK_IDS)
        }


def _digest(query_id: str) -> bytes:
    return blake2b(query_id.encode(), digest_size=ID_BYTES).digest()
