"""A store in memory: for replicas that are rebuilt at every start, and for tests."""

from collections.abc import Iterable, Iterator

from twin_store.store.base import Change


class MemoryStore:
    """See `StateStore`. Nothing survives the process; `scan` looks at every key."""

    def __init__(self) -> None:
        self._records: dict[bytes, bytes] = {}
        self._position = 0

    def get(self, key: bytes) -> bytes | None:
        """See `StateStore`."""
        return self._records.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `StateStore`."""
        found = sorted(key for key in self._records if key.startswith(prefix))
        return iter([(key, self._records[key]) for key in found])

    def apply(self, changes: Iterable[Change], position: int) -> None:
        """See `StateStore`."""
        for key, value in changes:
            if value is None:
                self._records.pop(key, None)
            else:
                self._records[key] = value
        self._position = position

    def position(self) -> int:
        """See `StateStore`."""
        return self._position

    def close(self) -> None:
        """See `StateStore`."""
        self._records.clear()
