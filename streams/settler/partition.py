"""One partition in the settler: the twins it follows, its open answers, how far its events have come."""

from confluent_kafka import Message

from streams.batch import next_offset
from streams.replica import TwinReplica
from streams.settings import Settings
from streams.settler.book import Book
from streams.topics import SETTLER_STATE
from streams.updater.recovery import restore
from twin_store.dna.binary import newest_receipt
from twin_store.store.base import Change
from twin_store.store.keys import GRAVE, customer_of
from twin_store.store.memory import MemoryStore


class PartitionState:
    """What belongs to partition p."""

    def __init__(self, settings: Settings, reader: str, number: int) -> None:
        """Restore it from the changelogs; `reader` names the process and its member."""
        store = MemoryStore()
        restore(settings, number, store, SETTLER_STATE)
        self.number = number
        self.book = Book(store.scan(b""))
        self.replica = TwinReplica(settings, reader, number, self)
        self._read = self.replica.position
        self.advance(self._read)

    def follow(self, messages: list[Message]) -> None:
        """Records of the twins' changelog, in order."""
        self.replica.take(messages)
        self._read = max(self._read, next_offset(messages))

    def found_end(self, offset: int) -> None:
        """The twins' changelog ends here, past its last record."""
        self._read = max(self._read, offset)

    def advance(self, heard_end: int) -> None:
        """Move event time on; `heard_end` is the end of the twins' changelog as it was last heard."""
        self.book.time.advance(self._read, heard_end)

    def close(self) -> None:
        """Let go of the replica."""
        self.replica.close()

    def recall(self, note: bytes) -> None:
        """See `Watcher`. Without it a restart would know of no receipt that its folder holds already."""
        self.book.time.recall(note)

    def watch(self, changes: list[Change]) -> bytes:
        """See `Watcher`: who bought, and when; who is to be forgotten."""
        for key, value in changes:
            if value is None:
                continue
            if key[:1] == GRAVE:
                self.book.touch(key[1:].decode())
            elif second := newest_receipt(value):
                customer_id = customer_of(key)
                self.book.time.see(customer_id, second)
                self.book.touch(customer_id)
        return self.book.time.note()
