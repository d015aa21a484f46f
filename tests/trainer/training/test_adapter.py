"""From a history to a published adapter: trained, calibrated, judged, with canaries that tell it from its base."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from streams.cli.main import build
from streams.errors import UsageError
from tests.trainer.training.conftest import Taught
from trainer.deciders.language.served import BUCKETS, CALIBRATION, ServedAdapter, ServedBase
from trainer.deciders.vllm.adapters import check_adapter
from trainer.deciders.vllm.settings import ADAPTABLE
from trainer.gate.verdict import Guards
from trainer.registry import Registry
from trainer.tasks.history import NotEnoughHistoryError
from trainer.tasks.workshop import Workshop
from trainer.training.adapter import TrainedAdapter, base_buckets, train_adapter
from trainer.training.config import TrainingConfig
from trainer.training.publishing import publish_trained, write_result
from trainer.training.runs import RunError
from twin_store.lake import Lake

UNTIL = datetime(2024, 7, 19, tzinfo=UTC)


@pytest.fixture(scope="module")
def segment(taught: Taught) -> str:
    """The one with most cases."""
    names, counts = np.unique(taught.parts["purchase"].fit.segments, return_counts=True)
    return str(names[np.argmax(counts)])


@pytest.fixture(scope="module")
def trained(
    workshop: Workshop,
    taught: Taught,
    segment: str,
    config: TrainingConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainedAdapter:
    run = tmp_path_factory.mktemp("adapter")
    return train_adapter(workshop, taught.folder, segment, config, run, Guards(rows_min=20))


def test_a_base_learns_more_than_chance_in_seconds(taught: Taught) -> None:
    assert taught.made.metrics["purchase"]["auc"] > 0.6
    assert taught.made.base.sha256
    files = {name: (taught.folder / name).read_bytes() for name in (BUCKETS, CALIBRATION)}
    served = ServedBase.of_files(files)
    assert set(served.calibration) == {"purchase"}
    assert served.buckets == taught.buckets


def test_what_is_published_is_what_a_worker_takes(
    trained: TrainedAdapter, segment: str, config: TrainingConfig, taught: Taught, tmp_path: Path
) -> None:
    manifest = publish_trained(Registry(str(tmp_path)), segment, trained, config, UNTIL, UNTIL, "always")
    assert manifest is not None
    folder = tmp_path / manifest.decider / manifest.version
    adapter = check_adapter(folder, taught.made.base, 8, ADAPTABLE)
    assert adapter.rank == 8
    files = {name: (folder / name).read_bytes() for name in manifest.files}
    served = ServedAdapter.of_files(segment, adapter.name, manifest.version, files)
    assert served.buckets == taught.buckets
    assert set(served.calibration) == {"purchase"}
    assert manifest.settings["segment"] == segment
    assert manifest.settings["training"]["sft"]["steps"] == config.sft.steps
    assert "AUC" in files["verdict.md"].decode()


def test_canaries_tell_the_adapter_from_its_base(trained: TrainedAdapter, taught: Taught) -> None:
    from transformers import AutoModelForCausalLM

    from trainer.training.scoring import first_token_logs

    base = AutoModelForCausalLM.from_pretrained(taught.folder, dtype="float32")
    prompts = [np.array(canary.prompt_ids) for canary in trained.canaries.prompts]
    logs = first_token_logs(base, prompts)
    yes, no = taught.tokens.yes[0], taught.tokens.no[0]
    said = 1 / (1 + np.exp(logs[:, no] - logs[:, yes]))
    assert not trained.canaries.blind(said.tolist())


def test_a_refused_adapter_is_not_published_and_says_why(
    trained: TrainedAdapter, segment: str, config: TrainingConfig, tmp_path: Path
) -> None:
    refused = replace(trained, verdict=replace(trained.verdict, passed=False, published_for=()))
    registry = Registry(str(tmp_path / "models"))
    manifest = publish_trained(registry, segment, refused, config, UNTIL, UNTIL)
    assert manifest is None
    assert registry.versions(f"vllm/{segment}") == []
    result = write_result(tmp_path, manifest, refused.verdict, 1.0)
    assert result["version"] is None
    assert result["verdict"]["passed"] is False
    assert (tmp_path / "verdict.md").read_text().startswith("# an adapter of")


def test_a_segment_with_too_few_customers_is_refused(
    workshop: Workshop, taught: Taught, config: TrainingConfig, tmp_path: Path
) -> None:
    with pytest.raises(NotEnoughHistoryError, match=r"segment 'stock-up-shoppers' has \d+ labelled pairs"):
        train_adapter(workshop, taught.folder, "stock-up-shoppers", config, tmp_path, Guards())
    assert not (tmp_path / "adapter").exists()


def test_a_base_that_was_not_trained_on_decisions_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not trained on decisions"):
        base_buckets(tmp_path)
    (tmp_path / "buckets.json").write_text('{"format": 1, "edges": {}, "silent": ["question"]}')
    with pytest.raises(RunError, match="silent"):
        base_buckets(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--segment", "nobody"], "there is no segment 'nobody'"),
        (["--segment", "regulars", "--publish", "maybe"], "passed or always"),
        (["--segment", "regulars", "--config", "none.toml"], "no set-up"),
        (["--segment", "regulars", "--until", "2020-01-01"], "no receipts"),
    ],
)
def test_wrong_use_of_the_command_is_said_in_a_line(
    taught: Taught, town_lake: Lake, tmp_path: Path, arguments: list[str], said: str
) -> None:
    where = ["--base", str(taught.folder), "--lake", town_lake.log.storage.full(""), "--run", str(tmp_path)]
    command = ["train", "adapter", *arguments, *where]
    with pytest.raises(UsageError, match=said):
        CliRunner().invoke(build(command), command, catch_exceptions=False)
    assert not (tmp_path / "result.json").exists()
