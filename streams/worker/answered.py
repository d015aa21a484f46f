"""The ids of the queries answered last: a query that comes again, from whomever, is answered once.

Kept in a ring of blocks, one a batch, in the compacted `twins.worker-state`; a block is committed with its answers.
"""

from collections import OrderedDict

import msgspec

from twin_store.store.base import Change, StateStore

BLOCKS = 4_096
_Block = tuple[int, list[str]]


class AnsweredIds:
    """The ids in the newest BLOCKS blocks of one partition."""

    def __init__(self, store: StateStore) -> None:
        self._blocks: OrderedDict[int, list[str]] = OrderedDict()
        self._ids: dict[str, int] = {}
        self._staged: list[str] = []
        read = [msgspec.msgpack.decode(value, type=_Block) for _, value in store.scan(b"")]
        for number, ids in sorted(read):
            self._put(number, ids)
        self._next = max(self._blocks, default=-1) + 1

    def __contains__(self, query_id: str) -> bool:
        return query_id in self._ids

    def stage(self, query_id: str) -> None:
        """This query is answered in the batch at hand."""
        self._staged.append(query_id)
        self._ids[query_id] = self._next

    def changes(self) -> list[Change]:
        """The record of the batch's block, for the changelog."""
        if not self._staged:
            return []
        key = (self._next % BLOCKS).to_bytes(2, "big")
        return [(key, msgspec.msgpack.encode((self._next, self._staged)))]

    def committed(self) -> None:
        """The batch is committed."""
        if self._staged:
            self._put(self._next, self._staged)
            self._next += 1
            self._staged = []

    def aborted(self) -> None:
        """The batch never happened."""
        for query_id in self._staged:
            self._ids.pop(query_id, None)
        self._staged = []

    def _put(self, number: int, ids: list[str]) -> None:
        self._blocks[number] = ids
        self._ids.update(dict.fromkeys(ids, number))
        while len(self._blocks) > BLOCKS:
            oldest, gone = self._blocks.popitem(last=False)
            for query_id in gone:
                if self._ids.get(query_id) == oldest:
                    del self._ids[query_id]
