"""`twins adapters`: what goes wrong is said before anything is released, and people can read the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.adapters.admission import admitted
from streams.adapters.releases import read_releases
from streams.cli import main as cli
from streams.errors import UsageError
from streams.settings import Settings
from tests.streams.adapters.conftest import Twins
from tests.streams.adapters.hosted import Hosted
from tests.trainer.vllm.bad_adapters import BAD, spoilt
from trainer.deciders.vllm.errors import Reason

NEED_THE_BASE = {Reason.BASE, Reason.MODULE, Reason.SHAPE, Reason.EMBEDDINGS, Reason.DORA, Reason.RANK}


def words(*arguments: object) -> str:
    """What a person reads."""
    done = CliRunner().invoke(
        cli.build(["adapters"]), ["adapters", *map(str, arguments)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("name", BAD)
def test_a_bad_adapter_is_not_admitted(name: str, hosted: Hosted, tmp_path: Path) -> None:
    bad = str(spoilt(hosted.publish("families", 0.9), tmp_path / "bad", name))
    with pytest.raises(UsageError, match=f"would be refused: {BAD[name][1]}"):
        admitted(bad, hosted.base.folder, 8, "vllm")
    if BAD[name][1] not in NEED_THE_BASE:
        with pytest.raises(UsageError, match=f"would be refused: {BAD[name][1]}"):
            admitted(bad, None, 8, "vllm")


@pytest.mark.broker
def test_a_bad_adapter_is_not_released(shop: Settings, hosted: Hosted, twins: Twins, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="would be refused: files: may run code"):
        twins("release", spoilt(hosted.publish("families", 0.9), tmp_path / "bad", "a pickle"))
    assert read_releases(shop).by_segment == {}


@pytest.mark.broker
def test_what_is_released_is_listed_for_people(shop: Settings, hosted: Hosted, twins: Twins) -> None:
    assert "no segment has an adapter" in words("list")
    one, two = hosted.publish("families", 0.9), hosted.publish("families", 0.2)
    assert words("release", one, "--base", hosted.base.folder) == f"families  release 1: {one.name}\n"
    said = words("release", two, "--segment", "families", "--shadow", 0.25)
    assert said == f"families  release 2: {one.name}, on trial {two.name} (shadow 0.25)\n"
    assert words("pin", "families").endswith(", pinned\n")
    assert (
        words("load", "families", two.name) == f"families  release 4: {two.name}, before {one.name}, pinned\n"
    )
    assert words("list") == words("load", "families", two.name)
    released = read_releases(shop).by_segment["families"].champion
    assert (released.location, released.base_model) == (str(two), hosted.base.name)
    assert released.calibration is not None


@pytest.mark.broker
@pytest.mark.usefixtures("twins")
def test_a_segment_that_nobody_is_in_is_pointed_out(hosted: Hosted) -> None:
    """It may be the name of a later version of the definitions, so it is released all the same."""
    for segment, is_known in (("regulrs", False), ("regulars", True)):
        release = ["adapters", "release", str(hosted.publish(segment, 0.9))]
        done = CliRunner().invoke(cli.build(["adapters"]), release, catch_exceptions=False)
        assert done.stdout.startswith(f"{segment}  release 1")
        assert ("no twin is in a segment 'regulrs'" in done.stderr) is not is_known


@pytest.mark.broker
def test_any_version_of_the_registry_can_be_loaded(hosted: Hosted, twins: Twins) -> None:
    folder = hosted.publish("families", 0.9)
    assert twins("load", "families", folder.name)["champion"] == folder.name
    with pytest.raises(UsageError, match="there is no folder"):
        twins("load", "families", "2024-01-01-000000000000")


@pytest.mark.broker
def test_wrong_usage_is_explained(hosted: Hosted, twins: Twins, tmp_path: Path) -> None:
    folder = hosted.publish("families", 0.9)
    for wrong, what in {
        ("release", tmp_path / "nothing"): "there is no folder",
        ("release", folder, "--ab", 0.1, "--shadow", 0.1): "either as --shadow or as --ab",
        ("release", folder, "--ab", 0): "above 0 and at most 1",
        ("release", folder, "--ab", 0.1): "'families' has no release",
        ("release", folder, "--decider", "oracle"): "known: vllm, openai",
        ("release", folder, "--base", tmp_path): "lacks",
        ("rollback", "families"): "has no release",
        ("compare", "families"): "has no release",
    }.items():
        with pytest.raises(UsageError, match=what):
            twins(*wrong)
    twins("release", folder)
    with pytest.raises(UsageError, match="no version of families is on trial"):
        twins("compare", "families")
    with pytest.raises(UsageError, match="--mode is"):
        twins("compare", "families", "--challenger", "2")
    assert twins("compare", "families", "--challenger", "2", "--mode", "ab")["comparisons"] == []
    assert "no outcomes yet" in words("compare", "families", "--challenger", "2", "--mode", "ab")
