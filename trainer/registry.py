"""Immutable model versions on any fsspec folder: files, a manifest with their hashes, and who is current.

`MODELS/<decider>/<version>/…` never changes once its manifest stands; `MODELS/<decider>/current.json` names the
version that answers. Files are text or plain arrays: nothing here is ever unpickled.
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
    """What a version is. `files` are SHA-256 by name; `metrics` by question kind; times are RFC 3339."""

    decider: str
    version: str
    created_at: str
    until: str
    files: dict[str, str]
    metrics: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


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
    ) -> Manifest:
        """Store a version and make it the current one. The same files give the same version again, as it stands.

        The manifest is written after the files and the pointer last, so a crash leaves nothing half-visible.
        """
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
        digest = hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:12]
        version = f"{until[:10]}-{digest}"
        folder = f"{self._root}/{decider}/{version}"
        if self._fs.exists(f"{folder}/{MANIFEST}"):  # releases name it by its hash, so it is not written anew
            self.make_current(decider, version)
            return self.manifest(decider, version)
        manifest = Manifest(decider, version, created_at, until, hashes, metrics, settings)
        self._fs.makedirs(folder, exist_ok=True)
        for name, content in files.items():
            self._fs.pipe_file(f"{folder}/{name}", content)
        self._fs.pipe_file(f"{folder}/{MANIFEST}", json.dumps(asdict(manifest), indent=2).encode())
        self.make_current(decider, version)
        return manifest

    def make_current(self, decider: str, version: str) -> None:
        """Let a version answer from now on; also how to roll back.

        Raises:
            RegistryError: there is no such version.
        """
        self.manifest(decider, version)
        pointer = json.dumps({"version": version}).encode()
        # Written beside and moved, so that a reader never sees half of it.
        beside = f"{self._root}/{decider}/.{CURRENT}.new"
        self._fs.pipe_file(beside, pointer)
        self._fs.mv(beside, f"{self._root}/{decider}/{CURRENT}")

    def current(self, decider: str) -> str | None:
        """The version that answers, None before the first."""
        try:
            content = self._fs.cat_file(f"{self._root}/{decider}/{CURRENT}")
        except FileNotFoundError:
            return None
        return str(json.loads(content)["version"])

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

    def versions(self, decider: str) -> list[str]:
        """Every complete version, oldest name first."""
        folder = f"{self._root}/{decider}"
        if not self._fs.isdir(folder):
            return []
        names = [entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in self._fs.ls(folder, detail=True)]
        return sorted(name for name in names if self._fs.exists(f"{folder}/{name}/{MANIFEST}"))

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
