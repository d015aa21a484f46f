"""Versions come to stages by somebody's word; who answers is the pointer and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.registry import Registry, RegistryError
from trainer.stages import HISTORY, Stages

LINE = "evidence/regulars"
AT = "2024-07-02T00:00:00Z"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(str(tmp_path))


def candidate(registry: Registry, content: bytes, day: int = 1) -> str:
    until = f"2024-07-{day:02}T00:00:00Z"
    return registry.publish(LINE, until, until, {"a.txt": content}, {}, {}, current=False).version


def test_a_version_goes_from_candidate_to_champion_to_retired(registry: Registry) -> None:
    first, second = candidate(registry, b"one"), candidate(registry, b"two")
    stages = Stages(registry, LINE)
    assert set(stages.of().values()) == {"candidate"}
    assert registry.current(LINE) is None
    stages.promote(first, "ann", "first", AT)
    stages.set_aside(second, "shadow", "ann", "on trial", AT)
    assert stages.of() == {first: "champion", second: "shadow"}
    change = stages.promote(second, "bob", "better", AT)
    assert stages.of() == {first: "retired", second: "champion"}
    assert (change.before, change.who, change.why) == (first, "bob", "better")
    assert registry.lines() == [LINE]


def test_a_segment_rolls_back_to_the_champion_before_and_then_to_the_model_of_all(registry: Registry) -> None:
    first, second = candidate(registry, b"one"), candidate(registry, b"two")
    stages = Stages(registry, LINE)
    stages.promote(first, "ann", "", AT)
    stages.promote(second, "ann", "", AT)
    stages.roll_back("ann", "worse", AT)
    assert registry.current(LINE) == first
    registry.withdraw(LINE)
    with pytest.raises(RegistryError, match="none to take back"):
        stages.roll_back("ann", "", AT)


def test_a_segments_first_version_rolls_back_to_the_model_of_all(registry: Registry) -> None:
    first = candidate(registry, b"one")
    stages = Stages(registry, LINE)
    stages.promote(first, "ann", "", AT)
    stages.roll_back("ann", "worse", AT)
    assert registry.current(LINE) is None
    assert stages.of() == {first: "retired"}


def test_what_is_not_whole_is_not_promoted(registry: Registry, tmp_path: Path) -> None:
    good, bad = candidate(registry, b"one"), candidate(registry, b"two")
    stages = Stages(registry, LINE)
    stages.promote(good, "ann", "", AT)
    (tmp_path / LINE / bad / "a.txt").write_bytes(b"owt")
    with pytest.raises(RegistryError, match="the hash differs"):
        stages.promote(bad, "ann", "", AT)
    assert registry.current(LINE) == good
    (tmp_path / LINE / bad / "manifest.json").write_bytes(b"{")
    with pytest.raises(RegistryError, match="is broken"):
        stages.promote(bad, "ann", "", AT)


def test_the_champion_cannot_be_set_aside_or_deleted(registry: Registry) -> None:
    only = candidate(registry, b"one")
    Stages(registry, LINE).promote(only, "ann", "", AT)
    with pytest.raises(RegistryError, match="answers now"):
        Stages(registry, LINE).set_aside(only, "retired", "ann", "", AT)
    with pytest.raises(RegistryError, match="cannot be removed"):
        registry.remove(LINE, only)


def test_tidying_keeps_who_answers_what_a_rollback_needs_and_trials(registry: Registry) -> None:
    versions = [candidate(registry, bytes([day]), day) for day in range(1, 7)]
    stages = Stages(registry, LINE)
    stages.promote(versions[0], "ann", "", AT)
    stages.promote(versions[1], "ann", "", AT)
    stages.set_aside(versions[2], "shadow", "ann", "", AT)
    assert stages.collect(keep=1) == [versions[3], versions[4]]
    assert list(stages.of()) == [versions[0], versions[1], versions[2], versions[5]]
    stages.roll_back("ann", "", AT)
    assert registry.current(LINE) == versions[0]


@pytest.mark.parametrize("content", [b"{", b'[{"version": "x"}]', b"\xff"])
def test_a_broken_record_of_changes_is_named(registry: Registry, content: bytes) -> None:
    candidate(registry, b"one")
    registry.write_beside(LINE, HISTORY, content)
    with pytest.raises(RegistryError, match=r"stages\.json of evidence/regulars is broken"):
        Stages(registry, LINE).of()


def test_a_broken_pointer_is_named(registry: Registry) -> None:
    candidate(registry, b"one")
    registry.write_beside(LINE, "current.json", b"{}")
    with pytest.raises(RegistryError, match="names no version"):
        registry.current(LINE)
