"""From a lake to a published version: what is known of the small town is found, and only through the customer."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli.main import build
from tests.trainer.small_town import OPENING
from trainer.evaluation import ECE_BINS
from trainer.fit_evidence import Effort, fit_evidence, publish_evidence
from trainer.fitted import DECIDER, FLOOR, MATCHED, Fitted
from trainer.registry import Registry
from trainer.tasks.history import History, NotEnoughHistoryError, after_the_newest
from twin_store.lake import Lake


def test_every_kind_is_answered_much_better_than_by_chance(trained: tuple[Fitted, dict[str, Any]]) -> None:
    fitted, metrics = trained
    assert set(fitted.heads) == {
        ("purchase", MATCHED),
        ("purchase", FLOOR),
        ("promotion_response", MATCHED),
        ("promotion_response", FLOOR),
        ("basket_completion", MATCHED),
        ("trip_choice", MATCHED),
        ("voucher_redemption", FLOOR),
    }
    assert all(found["auc"] > 0.65 for drawn in metrics.values() for found in drawn.values()), metrics
    assert metrics["basket_completion"][MATCHED]["hit_rate"] > 0.35
    assert metrics["trip_choice"][MATCHED]["hit_rate"] > 0.7


def test_on_later_weeks_the_probabilities_hold(trained: tuple[Fitted, dict[str, Any]]) -> None:
    """So few rows of a bin differ from what was said by chance alone: the bound allows for that, and no more."""
    _, metrics = trained
    for kind, by_drawn in metrics.items():
        for drawn, found in by_drawn.items():
            by_chance = (found["base_rate"] * (1 - found["base_rate"]) * ECE_BINS / found["n"]) ** 0.5
            assert found["ece"] < 0.03 + by_chance, (kind, drawn, found)


def test_of_another_customer_little_is_known(trained: tuple[Fitted, dict[str, Any]]) -> None:
    _, metrics = trained
    for kind in ("purchase", "promotion_response"):
        found = metrics[kind][MATCHED]
        assert found["auc_wrong_customer"] < 0.6 < found["auc"], kind


def test_the_same_seed_gives_the_same_files(
    history: History, effort: Effort, trained: tuple[Fitted, dict[str, Any]]
) -> None:
    again, _ = fit_evidence(history, effort)
    assert again.to_files() == trained[0].to_files()


def test_a_history_with_too_little_says_so(town_lake: Lake) -> None:
    early = OPENING + timedelta(
        days=60
    )  # four days of cases: labels enough, but no later weeks to measure on
    lines: list[str] = []
    with pytest.raises(NotEnoughHistoryError, match="2024-03-01"):
        fit_evidence(History.from_lake(town_lake, early, OPENING), Effort().times(0.01), lines.append)
    assert any("left out, its cases span 3 days; 14 are needed" in line for line in lines)
    assert any("labels, left out" in line for line in lines)


def test_a_version_is_published_and_current(
    tmp_path: Path, trained: tuple[Fitted, dict[str, Any]], until: datetime, effort: Effort
) -> None:
    registry = Registry(str(tmp_path))
    manifest = publish_evidence(registry, *trained, until, until.isoformat(), effort)
    assert registry.current(DECIDER) == manifest.version
    loaded, files = registry.load(DECIDER, manifest.version)
    assert loaded.metrics == json.loads(json.dumps(trained[1]))
    assert Fitted.from_files(files).to_files() == trained[0].to_files()


def test_the_command_trains_from_the_lake(tmp_path: Path, town_lake: Lake) -> None:
    arguments = ["train", "evidence", "--until", "2024-07-01", "--lake", town_lake.log.storage.url]
    arguments += ["--models", str(tmp_path / "models"), "--scale", "0.02", "--json"]
    result = CliRunner().invoke(build(arguments), arguments)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert Registry(str(tmp_path / "models")).current(DECIDER) == said["version"]
    assert 0 < said["metrics"]["purchase"][MATCHED]["auc"] < 1
    assert "receipt lines" in result.stderr


def test_all_receipts_are_read_unless_a_date_is_given(town_lake: Lake) -> None:
    end = after_the_newest(town_lake)
    assert History.from_lake(town_lake, end, end).lines["second"].max() == end.timestamp() - 1


@pytest.mark.parametrize(("until", "reason"), [("2023-06-01", "no receipts before 2023-06-01")])
def test_the_command_says_what_is_missing(
    tmp_path: Path, town_lake: Lake, until: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["train", "evidence", "--until", until, "--lake", town_lake.log.storage.url]
    arguments += ["--models", str(tmp_path / "models")]
    result = CliRunner().invoke(build(arguments), arguments)
    assert result.exit_code != 0
    assert reason in str(result.exception)
