"""Immutable model versions on any fsspec folder: files, a manifest with their hashes, and who is current.

`MODELS/<decider>/<version>/…` never changes once its manifest stands; `MODELS/<decider>/current.json` names the
version that answers. `<decider>` is `evidence` for the model of all, `evidence/<segment>` for a segment's own. Files
are text or plain arrays: nothing here is ever unpickled.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import fsspec

MANIFEST = "manifest.json"
CURRENT = "current.json"


class RegistryError(ValueError):
    """A version that is not there, or not what its manifest says."""


@dataclass(frozen=True)
class Manifest:
    """What a version is. `files` are SHA-256 by name; `metrics` by question kind; times are RFC 3339.

    It was trained on what lies from `since` up to `until`; `parent` is the version that it was to replace.
    """

    decider: str
    version: str
    created_at: str
    until: str
    files: dict[str, str]
    metrics: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    parent: str | None = None
    since: str | None = None


class Registry:
    """The versions under one URL."""

    def __init__(self, url: str) -> None:
        self._fs, self._root = fsspec.core.url_to_fs(url)

    def publish(
        self,
        decider: str,
        until: str,
        created_at: str,
        files: Mapping[str, bytes],
        metrics: dict[str, Any],
        settings: dict[str, Any],
        *,
        parent: str | None = None,
        since: str | None = None,
        current: bool = True,
    ) -> Manifest:
        """Store a version and make it the current one. The same files give the same version again, as it stands.

        The manifest is written after the files and the pointer last, so a crash leaves nothing half-visible. With
        `current` false it is a candidate: it lies there and answers nobody.
        """
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
        digest = hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:12]
        version = f"{until[:10]}-{digest}"
        folder = f"{self._root}/{decider}/{version}"
        if self._fs.exists(f"{folder}/{MANIFEST}"):  # releases name it by its hash, so it is not written anew
            if current:
                self.make_current(decider, version)
            return self.manifest(decider, version)
        manifest = Manifest(decider, version, created_at, until, hashes, metrics, settings, parent, since)
        self._fs.makedirs(folder, exist_ok=True)
        for name, content in files.items():
            self._fs.pipe_file(f"{folder}/{name}", content)
        self._fs.pipe_file(f"{folder}/{MANIFEST}", json.dumps(asdict(manifest), indent=2).encode())
        if current:
            self.make_current(decider, version)
        return manifest

    def make_current(self, decider: str, version: str) -> None:
        """Let a version answer from now on; also how to roll back.

        Raises:
            RegistryError: there is no such version.
        """
        self.manifest(decider, version)
        self.write_beside(decider, CURRENT, json.dumps({"version": version}).encode())

    def withdraw(self, decider: str) -> None:
        """Let no version of this line answer any more; its versions stay."""
        path = f"{self._root}/{decider}/{CURRENT}"
        if self._fs.exists(path):
            self._fs.rm_file(path)

    def current(self, decider: str) -> str | None:
        """The version that answers, None before the first.

        Raises:
            RegistryError: the file that names it is broken.
        """
        content = self.read_beside(decider, CURRENT)
        if content is None:
            return None
        try:
            return str(json.loads(content)["version"])
        except (ValueError, KeyError, TypeError):
            raise RegistryError(f"{self._root}/{decider}/{CURRENT} is broken: it names no version") from None

    def write_beside(self, decider: str, name: str, content: bytes) -> None:
        """A small file beside the versions, replaced as a whole: a reader never sees half of it."""
        self._fs.makedirs(f"{self._root}/{decider}", exist_ok=True)
        beside = f"{self._root}/{decider}/.{name}.new"
        self._fs.pipe_file(beside, content)
        self._fs.mv(beside, f"{self._root}/{decider}/{name}")

    def read_beside(self, decider: str, name: str) -> bytes | None:
        """What `write_beside` wrote, None if nothing."""
        try:
            return bytes(self._fs.cat_file(f"{self._root}/{decider}/{name}"))
        except FileNotFoundError:
            return None

    def lines(self) -> list[str]:
        """Every line that has versions, such as `evidence` and `evidence/regulars`."""
        found = []
        for decider in self._folders(""):
            found += [decider, *(f"{decider}/{name}" for name in self._folders(decider))]
        return [line for line in found if self.versions(line)]

    def remove(self, decider: str, version: str) -> None:
        """Delete a version, its manifest first: what is half deleted is no version any more.

        Raises:
            RegistryError: it answers now.
        """
        if self.current(decider) == version:
            raise RegistryError(f"{decider} {version} answers now and cannot be removed")
        folder = f"{self._root}/{decider}/{version}"
        if self._fs.exists(f"{folder}/{MANIFEST}"):
            self._fs.rm_file(f"{folder}/{MANIFEST}")
        self._fs.rm(folder, recursive=True)

    def manifest(self, decider: str, version: str) -> Manifest:
        """What a version says of itself.

        Raises:
            RegistryError: there is none.
        """
        path = f"{self._root}/{decider}/{version}/{MANIFEST}"
        try:
            return Manifest(**json.loads(self._fs.cat_file(path)))
        except FileNotFoundError:
            known = ", ".join(self.versions(decider)) or "none yet"
            raise RegistryError(f"there is no {decider} version {version!r}; known: {known}") from None
        except (ValueError, TypeError):
            raise RegistryError(f"{path} is broken: it is no manifest") from None

    def versions(self, decider: str) -> list[str]:
        """Every complete version, oldest name first."""
        folder = f"{self._root}/{decider}"
        return sorted(n for n in self._folders(decider) if self._fs.exists(f"{folder}/{n}/{MANIFEST}"))

    def _folders(self, decider: str) -> list[str]:
        folder = f"{self._root}/{decider}".rstrip("/")
        if not self._fs.isdir(folder):
            return []
        found = [entry for entry in self._fs.ls(folder, detail=True) if entry["type"] == "directory"]
        return sorted(entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in found)

    def load(self, decider: str, version: str) -> tuple[Manifest, dict[str, bytes]]:
        """A version's files, each checked against its hash.

        Raises:
            RegistryError: a file is missing or was changed.
        """
        manifest = self.manifest(decider, version)
        files = {}
        for name, expected in manifest.files.items():
            path = f"{self._root}/{decider}/{version}/{name}"
            try:
                content = self._fs.cat_file(path)
            except FileNotFoundError:
                raise RegistryError(f"{path} is missing") from None
            if hashlib.sha256(content).hexdigest() != expected:
                raise RegistryError(f"{path} is not the file that its manifest names: the hash differs")
            files[name] = content
        return manifest, files
