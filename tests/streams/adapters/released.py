"""Releases as somebody would write them who checked nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

from trainer.registry import MANIFEST
from twin_store.messages import AdapterVersion

NO_HASH = "00" * 32


def version_in(folder: Path, published: Path, segment: str = "families") -> AdapterVersion:
    """The version in a folder, under the name of the one that was published."""
    manifest = folder / MANIFEST
    sha256 = hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else NO_HASH
    return AdapterVersion(
        decider="vllm",
        decider_version=published.name,
        name=f"vllm/{segment}/{published.name}",
        location=str(folder),
        sha256=sha256,
    )
