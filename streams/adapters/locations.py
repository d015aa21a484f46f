"""Where adapters lie: a folder of this machine, or any that fsspec can read."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import fsspec
from fsspec.implementations.local import LocalFileSystem


def absolute(location: str) -> str:
    """As every machine that has the same storage can read it: a URL as it is, a path in full."""
    filesystem, path = fsspec.core.url_to_fs(location)
    return str(path) if isinstance(filesystem, LocalFileSystem) else location


@contextmanager
def local_folder(location: str) -> Iterator[Path]:
    """The folder itself if it is here, or a copy of its files for as long as this lasts.

    Raises:
        FileNotFoundError: there is none.
        OSError: the storage cannot be read now.
    """
    filesystem, path = fsspec.core.url_to_fs(location)
    if not filesystem.isdir(path):
        raise FileNotFoundError(f"there is no folder {location}")
    if isinstance(filesystem, LocalFileSystem):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="adapter-") as folder:
        for entry in filesystem.ls(path, detail=True):
            if entry["type"] == "file":
                filesystem.get_file(entry["name"], f"{folder}/{PurePosixPath(entry['name']).name}")
        yield Path(folder)
