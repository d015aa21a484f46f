"""A store in RocksDB: one folder a partition, written after each commit."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from rocksdict import AccessType, DBCompressionType, Options, Rdict, WriteBatch

from twin_store.store.base import Change

_POSITION = b"\xffposition"


class RocksStore:
    """See `StateStore`.

    Writes go to RocksDB's log without a sync: `kill -9` loses nothing, and what a power cut tears off the
    end is read again from the changelog, since the position goes with the records.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_write_buffer_size(32 * 1024 * 1024)
        options.set_max_background_jobs(2)
        options.set_keep_log_file_num(2)
        self._db = Rdict(str(path), options=options, access_type=AccessType.read_write())

    def get(self, key: bytes) -> bytes | None:
        """See `StateStore`."""
        value: bytes | None = self._db.get(key)
        return value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `StateStore`."""
        for key, value in self._db.items(from_key=prefix):
            if not isinstance(key, bytes) or not key.startswith(prefix):
                return
            yield key, value

    def apply(self, changes: Iterable[Change], position: int) -> None:
        """See `StateStore`."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_POSITION, position.to_bytes(8, "little"))
        self._db.write(batch)

    def position(self) -> int:
        """See `StateStore`."""
        stored = self._db.get(_POSITION)
        return int.from_bytes(stored, "little") if stored is not None else 0

    def close(self) -> None:
        """See `StateStore`."""
        self._db.close()
