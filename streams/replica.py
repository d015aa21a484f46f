"""The twins of one partition, followed through their changelog by a process that only reads them.

A replica is the reader's own: it lies in a folder of its member, so that two processes of one machine never wait
for each other's lock, and nothing is lost with it. It is read up to the end of the changelog when its partition
is assigned, and kept up by the lane from there on.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from confluent_kafka import Message

from streams.batch import next_offset
from streams.settings import Settings
from streams.updater.recovery import remove_if_old, restore
from twin_store.dna.twin import Twin
from twin_store.store.base import Change, StateStore
from twin_store.store.keys import GRAVE, SYMBOLS, TWIN
from twin_store.store.rocks import RocksStore
from twin_store.store.twins import TwinStore

NOTE = b"w"  # the watcher's, in the local store only: the changelog has no such kind of key


class Watcher(Protocol):
    """Who is told what comes into a replica, and has it remember a note of its own."""

    def recall(self, note: bytes) -> None:
        """The note that goes with the records that are in the folder already; they are not shown again."""

    def watch(self, changes: list[Change]) -> bytes | None:
        """Records of twins or erasures that come in, in order; returns the note to keep with them, if any.

        The note and the records are written as one, so that a crash cannot leave one without the other.
        """


class TwinReplica:
    """Partition `partition` of the twins, as new as what `take` was given. Opening reads the changelog."""

    def __init__(
        self,
        settings: Settings,
        reader: str,
        partition: int,
        watcher: Watcher | None = None,
        with_symbols: bool = False,
    ) -> None:
        """`reader` names the process and its member, such as `worker-0`; `watcher` is told what comes in.

        `with_symbols` keeps what the keys in twins stand for; such a replica has a folder of its own.
        """
        kinds = (TWIN, GRAVE, SYMBOLS) if with_symbols else (TWIN, GRAVE)
        self._kinds = kinds
        named = "-named" if with_symbols else ""
        folder = settings.data_dir / "state" / f"{settings.topic_prefix}{reader}{named}-{partition}"
        remove_if_old(folder)
        store = _TwinRecords(RocksStore(folder), watcher, kinds)
        try:
            restore(settings, partition, store, is_copy=True)
            self._twins = TwinStore(store, settings.state_hot_twins_max)
        except BaseException:
            store.close()
            raise

    @property
    def position(self) -> int:
        """The next changelog offset to read."""
        return self._twins.position()

    @property
    def symbols(self) -> Mapping[int, str]:
        """Strings by key, of a replica that keeps them."""
        return self._twins.symbols

    def twin(self, customer_id: str) -> Twin:
        """The customer's twin; an empty one if she is not known."""
        return self._twins.get(customer_id).twin

    def erased_until(self, customer_id: str) -> int:
        """Epoch seconds up to which the customer was erased, 0 when never."""
        return self._twins.erased_until(customer_id)

    def take(self, messages: list[Message]) -> None:
        """Take these records of the changelog, in order."""
        changes = [(message.key() or b"", message.value()) for message in messages]
        self._twins.replicate(
            [change for change in changes if change[0][:1] in self._kinds], next_offset(messages)
        )

    def close(self) -> None:
        """Let go of the folder."""
        self._twins.close()


class _TwinRecords:
    """A store that keeps only what a replica needs, links and product statistics never; see `StateStore`."""

    def __init__(self, store: StateStore, watcher: Watcher | None, kinds: tuple[bytes, ...]) -> None:
        self._store = store
        self._kinds = kinds
        self._watcher = watcher
        note = store.get(NOTE)
        if watcher is not None and note is not None:
            watcher.recall(note)

    def get(self, key: bytes) -> bytes | None:
        return self._store.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return self._store.scan(prefix)

    def apply(self, changes: Iterable[Change], position: int) -> None:
        kept = [change for change in changes if change[0][:1] in self._kinds]
        note = self._watcher.watch(kept) if self._watcher is not None and kept else None
        self._store.apply(kept if note is None else [*kept, (NOTE, note)], position)

    def position(self) -> int:
        return self._store.position()

    def close(self) -> None:
        self._store.close()
