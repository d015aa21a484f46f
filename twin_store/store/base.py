"""Where the twins of one partition are kept: key-value records with the position they include."""

from collections.abc import Iterable, Iterator
from typing import Protocol

Change = tuple[bytes, bytes | None]


class StateStore(Protocol):
    """The records of one partition's changelog, newest per key, and the changelog offset they reach.

    Whoever opens a store owns it alone. `apply` is atomic: after a crash the records and the position are
    either both from before or both from after.
    """

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All records whose key starts with `prefix`, in key order."""

    def apply(self, changes: Iterable[Change], position: int) -> None:
        """Put the records (None deletes) and remember that the changelog was read up to `position`."""

    def position(self) -> int:
        """The next changelog offset to read; 0 for an empty store."""

    def close(self) -> None:
        """Let go of the files."""
