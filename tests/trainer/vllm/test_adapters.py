"""An adapter's folder is checked for everything that can be wrong with it, before anything is loaded."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.trainer.vllm.bad_adapters import BAD, spoilt
from tests.trainer.vllm.made_adapters import random_adapter, reseal, stub_base
from trainer.base_model import BaseModel
from trainer.deciders.vllm.adapters import Adapter, check_adapter, checked_copy, read_served
from trainer.deciders.vllm.canaries import Canaries, Canary
from trainer.deciders.vllm.errors import AdapterError, Reason
from trainer.deciders.vllm.settings import ADAPTABLE, EngineSettings
from trainer.registry import MANIFEST


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return stub_base(tmp_path_factory.mktemp("models") / "stub")


@pytest.fixture
def good(base: BaseModel, tmp_path: Path) -> Path:
    return random_adapter(base, 4, 0.1, seed=1).publish(tmp_path / "models", "families", base)


def check(folder: Path, base: BaseModel, sha256: str | None = None) -> Adapter:
    return check_adapter(folder, base, 8, ADAPTABLE, sha256)


def test_a_good_adapter_passes_and_is_named_by_its_content(base: BaseModel, good: Path) -> None:
    sha256 = hashlib.sha256((good / MANIFEST).read_bytes()).hexdigest()
    adapter = check(good, base, sha256)
    assert adapter.name == f"vllm/families/{good.name}"
    assert (adapter.rank, adapter.sha256, adapter.folder) == (4, sha256, good)
    assert adapter.canaries == Canaries((Canary((1, 2, 3), 0.5),))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_adapter_is_refused_with_its_reason(
    name: str, base: BaseModel, good: Path, tmp_path: Path
) -> None:
    with pytest.raises(AdapterError) as refused:
        check(spoilt(good, tmp_path, name), base)
    assert refused.value.reason == BAD[name][1], refused.value


def test_every_reason_that_files_can_give_is_tried() -> None:
    by_engine = {Reason.CANARY, Reason.NAME, Reason.ENGINE}
    assert {reason for _, reason in BAD.values()} == set(Reason) - by_engine


def test_a_module_may_be_forbidden(base: BaseModel, good: Path) -> None:
    with pytest.raises(AdapterError, match="module"):
        check_adapter(good, base, 8, ("q_proj", "v_proj"))


def test_a_pattern_of_modules_is_judged_by_the_weights(base: BaseModel, good: Path) -> None:
    config = json.loads((good / "adapter_config.json").read_text())
    (good / "adapter_config.json").write_text(json.dumps(config | {"target_modules": "all-linear"}))
    reseal(good)
    assert check(good, base).rank == 4


def test_a_release_names_the_manifest_by_its_hash(base: BaseModel, good: Path) -> None:
    with pytest.raises(AdapterError, match="the release says 00"):
        check(good, base, "00")


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({}, None),
        ({"kinds": ["purchase"], "training": {"kinds": ["purchase", "trip_choice"]}}, {"purchase"}),
        ({"kinds": [], "training": {"kinds": ["purchase"]}}, {"purchase"}),
        ({"kinds": []}, set()),
    ],
)
def test_a_version_says_which_questions_it_is_for(
    good: Path, tmp_path: Path, settings: dict[str, object], kinds: set[str] | None
) -> None:
    """One that was published against its gate's word is for those that it was trained on."""
    copy = Path(shutil.copytree(good, tmp_path / "copy"))
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["settings"] |= settings
    (copy / MANIFEST).write_text(json.dumps(manifest))
    assert read_served(copy, "families").kinds == kinds


def test_the_copy_stays_when_the_original_changes(base: BaseModel, good: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    adapter = checked_copy(good, copies, lambda folder: check(folder, base))
    (good / "adapter_model.safetensors").write_bytes(b"")
    assert adapter.folder.parent == copies
    assert checked_copy(good, copies, lambda folder: check(folder, base)) == adapter
    assert check(adapter.folder, base) == adapter


def test_a_refused_adapter_leaves_no_copy(base: BaseModel, good: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    bad = spoilt(good, tmp_path, "a file changed")
    with pytest.raises(AdapterError, match="hash"):
        checked_copy(bad, copies, lambda folder: check(folder, base))
    assert list(copies.iterdir()) == []
    assert checked_copy(good, copies, lambda folder: check(folder, base)).rank == 4  # has the same manifest


def test_a_link_out_of_the_folder_is_not_followed(base: BaseModel, good: Path, tmp_path: Path) -> None:
    weights = good / "adapter_model.safetensors"
    weights.rename(tmp_path / "elsewhere.safetensors")
    weights.symlink_to(tmp_path / "elsewhere.safetensors")
    with pytest.raises(AdapterError, match="files"):
        check(good, base)
    with pytest.raises(AdapterError, match="files"):
        checked_copy(good, tmp_path / "copies", lambda folder: check(folder, base))


def test_canaries_tell_right_from_wrong_and_from_the_base() -> None:
    canaries = Canaries((Canary((1,), 0.8), Canary((2,), 0.3)), tolerance=0.02)
    assert Canaries.from_json(canaries.to_json()) == canaries
    assert canaries.contradicted([0.81, 0.29]) is None
    assert canaries.contradicted([0.81, 0.35]) == "canary 1 should give 0.3000 and gives 0.3500"
    assert canaries.contradicted([float("nan"), 0.3]) is not None
    assert canaries.blind([0.8, 0.3])
    assert not canaries.blind([0.5, 0.3])


@pytest.mark.parametrize(
    "bounds", [{"rank_max": 12}, {"adapters_in_batch": 0}, {"adapters_in_memory": 2}, {"in_flight_max": 0}]
)
def test_bounds_that_the_engine_would_not_start_with_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"rank_max|adapter|in_flight_max"):
        EngineSettings(Path("model"), Path("copies"), **bounds)
