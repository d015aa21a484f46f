"""The registry hands out what was published, or says what is wrong with it."""

import json
from pathlib import Path

import pytest

from trainer.registry import MANIFEST, Registry, RegistryError

FILES = {"a.txt": b"one", "b.npz": b"two"}
DECIDER = "evidence"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(str(tmp_path))


def publish(registry: Registry, files: dict[str, bytes] = FILES) -> str:
    return registry.publish(DECIDER, "2024-07-01T00:00:00Z", "2024-07-02T00:00:00Z", files, {}, {}).version


def test_the_same_files_are_the_same_version(registry: Registry) -> None:
    first = publish(registry)
    assert publish(registry, dict(reversed(FILES.items()))) == first
    assert publish(registry, FILES | {"a.txt": b"other"}) != first
    assert len(registry.versions(DECIDER)) == 2


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_changed_is_refused(registry: Registry, tmp_path: Path, name: str) -> None:
    version = publish(registry)
    assert registry.load(DECIDER, version)[1] == FILES
    (tmp_path / DECIDER / version / name).write_bytes(b"onf")
    with pytest.raises(RegistryError, match=f"{name} is not the file .* the hash differs"):
        registry.load(DECIDER, version)


def test_a_file_that_is_missing_is_named(registry: Registry, tmp_path: Path) -> None:
    version = publish(registry)
    (tmp_path / DECIDER / version / "a.txt").unlink()
    with pytest.raises(RegistryError, match=r"a\.txt is missing"):
        registry.load(DECIDER, version)


def test_a_version_without_a_manifest_is_none(registry: Registry, tmp_path: Path) -> None:
    """A crash before the manifest leaves a folder that nobody sees, and the current version as it was."""
    first = publish(registry)
    second = publish(registry, {"a.txt": b"newer"})
    registry.make_current(DECIDER, first)
    (tmp_path / DECIDER / second / MANIFEST).unlink()
    assert registry.versions(DECIDER) == [first]
    with pytest.raises(RegistryError, match=f"known: {first}"):
        registry.make_current(DECIDER, second)
    assert registry.current(DECIDER) == first


def test_the_pointer_is_all_that_changes_when_one_rolls_back(registry: Registry, tmp_path: Path) -> None:
    first, second = publish(registry), publish(registry, {"a.txt": b"newer"})
    assert registry.current(DECIDER) == second
    registry.make_current(DECIDER, first)
    assert json.loads((tmp_path / DECIDER / "current.json").read_bytes()) == {"version": first}
    assert registry.load(DECIDER, second)[1] == {"a.txt": b"newer"}
