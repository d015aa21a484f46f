"""The whole benchmark on the small town: every family and decider, controls, and the report."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from streams.cli.main import build
from tests.trainer.small_town import OPENING
from trainer.evaluation import auc
from trainer.fidelity.bootstrap import Draws, middle
from trainer.fidelity.families import FAMILIES
from trainer.fidelity.report.markdown import to_markdown
from trainer.fidelity.report.page import to_page
from trainer.fidelity.run import someone_else
from twin_store.lake import Lake


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, town_lake: Lake) -> Path:
    out = tmp_path_factory.mktemp("fidelity")
    arguments = ["evaluate", "--lake", town_lake.log.storage.url, "--out", str(out), "--scale", "0.04"]
    arguments += ["--split", str((OPENING + timedelta(days=140)).date()), "--until", "2024-07-18", "--json"]
    result = CliRunner().invoke(build(arguments), arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    assert json.loads(result.stdout) == json.loads((out / "report.json").read_text())
    return out


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def test_every_family_is_answered_by_every_decider_that_can(report: dict[str, Any]) -> None:
    assert set(report["families"]) == {family.name for family in FAMILIES}
    items = {"popularity", "bought before", "P-TopFreq", "GP-TopFreq", "TIFU-KNN", "UP-CF"}
    for name, found in report["families"].items():
        assert set(found) >= items | {"evidence", "logistic"}, name
        for decider, each in found.items():
            low, high = each["interval"]
            assert low <= each[each["headline"]] <= high, (name, decider)


def test_what_is_her_own_is_found_and_only_in_her_twin(report: dict[str, Any]) -> None:
    for name in ("purchase", "purchase_cross", "basket_completion", "trip_choice"):
        ours = report["families"][name]["evidence"]
        assert ours[ours["headline"]] > report["wrong_customer"][name] + 0.1
        assert ours["ahead"] == [0.0, 0.0]
    assert report["families"]["purchase"]["popularity"]["auc"] == pytest.approx(0.5, abs=0.12)
    stale = {each["days"]: each["auc"] for each in report["staleness"]}
    assert stale[0] == report["families"]["purchase"]["evidence"]["auc"] > stale[90]


def test_the_ladder_starts_at_a_guess(report: dict[str, Any]) -> None:
    right = {each["step"]: each["right"] for each in report["ladder"]}
    assert right["v1"] == 0.5
    assert right["v1"] < right["v3"]
    assert right["v4"] < right["all"]


def test_the_report_is_for_people_too(folder: Path, report: dict[str, Any]) -> None:
    text = (folder / "report.md").read_text()
    assert text == to_markdown(report)
    assert all(family.title in text for family in FAMILIES)
    page = (folder / "report.html").read_text()
    assert page.count("<svg") == 5
    assert "http-equiv" not in page
    assert to_page(report) == page


def test_tifu_knn_is_held_against_the_paper(report: dict[str, Any]) -> None:
    assert report["published"]["customers"] == 60
    assert report["published"]["recall_at_10"] > 10 / 48  # a guess of ten out of all products


def test_weighted_draws_are_what_drawing_rows_would_give() -> None:
    generator = np.random.default_rng(1)
    customers = np.repeat(np.arange(40), 5)
    truths = generator.integers(0, 2, 200)
    scores = np.round(truths * 0.4 + generator.random(200), 1)
    draws = Draws(customers, seed=4, rounds=20)
    found = draws.aucs(truths, scores, np.ones(200))
    for i in range(20):
        rows = np.repeat(np.arange(200), draws._weights[i][customers].astype(int))
        assert found[i] == pytest.approx(auc(truths[rows], scores[rows]))
    low, high = middle(draws.means(truths.astype(float), np.ones(200)))
    assert low < truths.mean() < high


def test_nobody_answers_for_herself() -> None:
    customers = ["a", "a", "b", "c", "c", "c"]
    others = someone_else(customers, 0)
    assert len(others) == 6
    assert all(mine != other for mine, other in zip(customers, others, strict=True))


def test_a_split_after_the_end_is_refused(town_lake: Lake, until: datetime) -> None:
    arguments = ["evaluate", "--lake", town_lake.log.storage.url, "--split", "2030-01-01"]
    result = CliRunner().invoke(build(arguments), arguments)
    assert "--split 2030-01-01 is not before" in str(result.exception)
