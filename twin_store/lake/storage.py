"""Where the lake's objects lie: any fsspec URL, with the one primitive that exactly-once rests on.

`create` puts an object only if its name is free. It is atomic on a local disk (a hard link to a finished file)
and on S3, Google Cloud Storage and Azure (a conditional put). Other stores look first and put then, which
leaves a moment in which two writers may both believe they were first.
"""

import io
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

COMPRESSION = "zstd"
ROWS_PER_GROUP = 50_000
DRAFTS_FOLDER = "_drafts"
_MILLISECONDS = 1_000


def stamp() -> str:
    """The end of a name that nobody else uses: milliseconds since 1970, and chance."""
    return f"{time.time() * _MILLISECONDS:.0f}-{uuid.uuid4().hex[:12]}"


def stamped_at(path: str) -> float:
    """When a name that ends in `stamp` was made, in epoch seconds."""
    return int(path.split("-")[-2]) / _MILLISECONDS


class LakeError(RuntimeError):
    """The lake cannot be read or written; the message says where and what to do."""


class FileGoneError(LakeError):
    """A data file that a manifest names is not there."""


class NameTakenError(Exception):
    """The name is taken; `content` is what stands there."""

    def __init__(self, path: str, content: bytes) -> None:
        super().__init__(path)
        self.content = content


class Storage:
    """The objects below one URL. Paths are relative to it, with `/` between the parts."""

    def __init__(self, url: str) -> None:
        """Raises `LakeError` if the URL's protocol is unknown or its package is not installed."""
        self.url = url
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise LakeError(
                f"lake_url {url}: {error}; correct TWINS_LAKE_URL or install that package"
            ) from None
        self._root = root.rstrip("/")
        self.is_local = self._protocols() & {"file", "local"} != set()
        self._unsynced: set[Path] = set()
        self._syncing = threading.Lock()

    def _protocols(self) -> set[str]:
        protocol = self._fs.protocol
        return {protocol} if isinstance(protocol, str) else set(protocol)

    def full(self, path: str) -> str:
        """The path as the file system knows it."""
        return f"{self._root}/{path}"

    @property
    def arrow_filesystem(self) -> pa.fs.PyFileSystem:
        """This file system as pyarrow sees it."""
        return pa.fs.PyFileSystem(pa.fs.FSSpecHandler(self._fs))

    def names(self, folder: str) -> list[str]:
        """Every object below `folder`, sorted; none if there is no such folder."""
        self._fs.invalidate_cache()
        cut = len(self._root) + 1
        return sorted(name[cut:] for name in self._fs.find(self.full(folder)))

    def read(self, path: str) -> bytes | None:
        """The content of one object, or None if there is none."""
        try:
            content: bytes = self._fs.cat_file(self.full(path))
        except FileNotFoundError:
            return None
        return content

    def read_many(self, paths: Iterable[str]) -> dict[str, bytes]:
        """The contents of several objects, read concurrently where the store can.

        Raises `LakeError` if one is gone: it was listed a moment ago, so a cleaning came between.
        """
        wanted = {self.full(path): path for path in paths}
        if not wanted:
            return {}
        try:
            found = self._fs.cat(list(wanted), on_error="raise")
        except FileNotFoundError as error:
            gone = error.filename or error
            raise LakeError(f"{gone} vanished while the lake was read: read it again") from None
        return {wanted[name]: content for name, content in found.items()}

    def create(self, path: str, content: bytes) -> None:
        """Put a new object, whole or not at all, after everything written before it is safe on disk.

        Raises:
            NameTakenError: if another object has the name. One that says the same is ours: a store may put
                twice where the answer to the first was lost.
        """
        self.sync()
        try:
            if self.is_local:
                self._create_local(Path(self.full(path)), content)
            else:
                self._fs.pipe_file(self.full(path), content, mode="create")
        except OSError as error:
            # Stores name a failed precondition differently: what stands there now tells.
            there = self.read(path)
            if there is None:
                raise LakeError(f"cannot write {self.full(path)}: {error}") from error
            if there != content:
                raise NameTakenError(path, there) from None

    def _create_local(self, final: Path, content: bytes) -> None:
        # Drafts lie apart: one that a dying process leaves behind must not be taken for an object.
        draft = Path(self.full(f"{DRAFTS_FOLDER}/draft-{stamp()}"))
        for folder in (final.parent, draft.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, final)  # unlike a rename, fails where the name is taken
        finally:
            draft.unlink(missing_ok=True)
        self._unsynced.update(self._folders(final))
        self.sync()

    def write_table(self, path: str, table: pa.Table) -> int:
        """Write one Parquet file under a name nobody else uses; its size in bytes."""
        if self.is_local:
            return self._write_local(Path(self.full(path)), table)
        buffer = io.BytesIO()
        _write_parquet(table, buffer)
        self._fs.pipe_file(self.full(path), buffer.getvalue())
        return buffer.tell()

    def _write_local(self, path: Path, table: pa.Table) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            _write_parquet(table, file)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        self._unsynced.update(self._folders(path))
        return size

    def read_table(self, path: str, columns: list[str] | None = None) -> pa.Table:
        """One Parquet file, or some of its columns. Raises `FileGoneError` if it is not there."""
        try:
            with self._fs.open(self.full(path), "rb") as file:
                return pq.ParquetFile(file).read(columns=columns)
        except FileNotFoundError:
            raise FileGoneError(
                f"{self.full(path)} is named in a manifest but missing: an erasure removed it meanwhile, so read"
                " again; if it stays missing, restore it from a backup of the lake"
            ) from None

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects; those already gone are fine."""
        for path in paths:
            try:
                self._fs.rm_file(self.full(path))
            except FileNotFoundError:
                continue

    def sync(self) -> None:
        """Make the names of new local files survive a power cut; their contents were synced when written."""
        with self._syncing:  # who finds nothing to do may still have to wait for another thread that is at it
            while self._unsynced:
                # Taken out first: what another thread adds meanwhile is its own to sync.
                folder = self._unsynced.pop()
                try:
                    _sync_folder(folder)
                except BaseException:
                    self._unsynced.add(folder)
                    raise

    def _folders(self, path: Path) -> Iterator[Path]:
        """The folders from `path` up to the root, each of which may be new."""
        for folder in path.parents:
            yield folder
            if str(folder) == self._root:
                return


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_parquet(table: pa.Table, target: Any) -> None:
    pq.write_table(table, target, compression=COMPRESSION, row_group_size=ROWS_PER_GROUP)
