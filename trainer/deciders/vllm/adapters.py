"""What an adapter's folder must be before the engine sees it; anything else is refused with its reason.

An adapter is a version of the registry: PEFT's two files, the canary prompts, and the manifest with the hash of each
and with the base that it was trained on. vLLM itself checks less: it takes pickles where there is no safetensors file,
skips rows of embeddings in silence, and skips weights of layers that the base does not have.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

from trainer.base_model import BaseModel, file_sha256
from trainer.deciders.language.served import BUCKETS, CALIBRATION, ServedAdapter
from trainer.deciders.vllm.adapter_config import check_config
from trainer.deciders.vllm.adapter_weights import check_weights
from trainer.deciders.vllm.canaries import FILE as CANARIES
from trainer.deciders.vllm.canaries import Canaries
from trainer.deciders.vllm.errors import AdapterError, Reason
from trainer.registry import MANIFEST, Manifest
from trainer.tensor_files import TensorFileError, read_contents

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
NEEDED = {CONFIG, WEIGHTS, CANARIES}
HARMLESS = {".json", ".md", ".txt", ".jinja"}  # besides the weights; others might be code or a pickle
BASE_NAME, BASE_SHA256 = "base_model", "base_sha256"  # in the manifest's settings
KINDS = "kinds"  # there too: the kinds of questions that it may answer
_COPY_DIGITS = 32


@dataclass(frozen=True)
class Adapter:
    """An adapter that passed the checks.

    Attributes:
        name: immutable: the same name is the same content for ever.
        folder: where the engine reads it, now and whenever it needs it again.
        sha256: of its manifest, and through that of every file.
        rank: the largest of its modules.
        canaries: what it must say once it is loaded.
        base_model: the name of the base that it says it was trained on.
        files: the hash of each file, by name.
    """

    name: str
    folder: Path
    sha256: str
    rank: int
    canaries: Canaries
    base_model: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


def check_adapter(
    folder: Path, base: BaseModel | None, rank_max: int, allowed: Collection[str], sha256: str | None = None
) -> Adapter:
    """The adapter in a folder, if everything about it is in order. Loads no weights.

    `sha256` is what its release says of the manifest, if it was released. Without a base all but what fits only one
    base or another is checked.

    Raises:
        AdapterError: with the first reason against it.
    """
    manifest, found_sha256 = _manifest(folder, sha256)
    _check_files(folder, manifest)
    if base is not None and manifest.settings.get(BASE_SHA256) != base.sha256:
        trained_on = f"{manifest.settings.get(BASE_NAME)} ({manifest.settings.get(BASE_SHA256)})"
        raise AdapterError(Reason.BASE, f"trained on {trained_on}; {base.name} ({base.sha256}) is served")
    rank = check_config(_read_config(folder / CONFIG), rank_max, allowed)
    try:
        tensors = read_contents(folder / WEIGHTS)
    except TensorFileError as error:
        raise AdapterError(Reason.TRUNCATED, str(error)) from None
    if base is not None:
        check_weights(tensors, base, rank, allowed)
    try:
        canaries = Canaries.from_json((folder / CANARIES).read_bytes())
    except ValueError as error:
        raise AdapterError(Reason.CANARIES, str(error)) from None
    read_served(folder, "", found_sha256)
    base_model = manifest.settings.get(BASE_NAME)
    return Adapter(_name(manifest), folder, found_sha256, rank, canaries, base_model, manifest.files)


def read_served(folder: Path, segment: str, sha256: str | None = None) -> ServedAdapter:
    """What questions need to know of the adapter in a folder: its name, and how to calibrate what it says.

    Raises:
        AdapterError: its manifest or one of these files is not in order.
    """
    manifest, _ = _manifest(folder, sha256)
    found = {}
    for name in {CALIBRATION, BUCKETS} & set(manifest.files):
        try:
            found[name] = (folder / name).read_bytes()
        except OSError as error:
            raise AdapterError(Reason.FILES, str(error)) from None
        if hashlib.sha256(found[name]).hexdigest() != manifest.files[name]:
            raise AdapterError(Reason.HASH, f"{name} is not the file that the manifest names")
    try:
        kinds = _kinds(manifest)
        return ServedAdapter.of_files(segment, _name(manifest), manifest.version, found, kinds)
    except ValueError as error:
        raise AdapterError(Reason.CALIBRATION, str(error)) from None


def checked_copy(folder: Path, copies: Path, check: Callable[[Path], Adapter]) -> Adapter:
    """The adapter in a private copy of its plain files, made once and named by its manifest's hash.

    The engine reads an adapter's files again after it was out of memory, and a file that is gone or was changed by then
    would end the engine. So it is given the copy, and it is the copy that is checked, before it gets its name.

    Raises:
        AdapterError: by `check`, or because there is nothing to copy.
    """
    _, sha256 = _manifest(folder, None)
    copy = copies / sha256[:_COPY_DIGITS]
    if copy.is_dir():
        return check(copy)
    beside = copies / f".{copy.name}.new"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        for path in folder.iterdir():
            if path.is_file() and not path.is_symlink():
                shutil.copyfile(path, beside / path.name)
        adapter = check(beside)
        return replace(adapter, folder=beside.rename(copy))
    except OSError as error:
        raise AdapterError(Reason.FILES, str(error)) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _kinds(manifest: Manifest) -> frozenset[str] | None:
    """The kinds that its gate let it answer; of one that was published against its word, those it was trained on.

    Raises:
        AdapterError: they are no names.
    """
    passed = manifest.settings.get(KINDS)
    if passed is None:
        return None
    training = manifest.settings.get("training")
    trained = training.get(KINDS) if isinstance(training, dict) else None
    kinds = passed or trained or []
    if not (isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds)):
        raise AdapterError(Reason.MANIFEST, "the kinds that it may answer are no names")
    return frozenset(kinds)


def _name(manifest: Manifest) -> str:
    return f"{manifest.decider}/{manifest.version}"


def _manifest(folder: Path, sha256: str | None) -> tuple[Manifest, str]:
    """The manifest with its hash, which must be `sha256` if that is known."""
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = Manifest(**json.loads(content))
    except (OSError, ValueError, TypeError) as error:
        raise AdapterError(Reason.MANIFEST, f"{folder} has no manifest that can be read: {error}") from None
    if not (isinstance(manifest.files, dict) and isinstance(manifest.settings, dict) and _is_plain(manifest)):
        raise AdapterError(Reason.MANIFEST, f"the manifest of {folder} is not one of an adapter")
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and sha256 != found:
        raise AdapterError(Reason.HASH, f"the manifest's hash is {found}, the release says {sha256}")
    return manifest, found


def _is_plain(manifest: Manifest) -> bool:
    """Whether its names stay inside the folder."""
    names = (*manifest.files, manifest.version)
    return all(isinstance(name, str) and PurePath(name).name == name for name in names)


def _check_files(folder: Path, manifest: Manifest) -> None:
    """Exactly the listed files are there, of harmless kinds, and are what the manifest says."""
    there = {path.name for path in folder.iterdir()} - {MANIFEST}
    strange = [name for name in there if name != WEIGHTS and PurePath(name).suffix not in HARMLESS]
    unlisted = there - set(manifest.files)
    missing = (NEEDED | set(manifest.files)) - there
    for problem, names in (("may run code", strange), ("not listed", unlisted), ("missing", missing)):
        if names:
            raise AdapterError(Reason.FILES, f"{problem}: {', '.join(sorted(names))}")
    for name, expected in manifest.files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise AdapterError(Reason.FILES, f"{name} is not a plain file")
        if file_sha256(path) != expected:
            raise AdapterError(Reason.HASH, f"{name} is not the file that the manifest names")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise AdapterError(Reason.CONFIG, f"{path.name} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise AdapterError(Reason.CONFIG, f"{path.name} is not a JSON object")
    return config
