"""The demo, small but whole: `twins demo` on real receipts, from an empty folder to a report without complaints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from streams.demo.report import complaints
from tests.streams.demo.test_report import KEYS
from twin_store.segments import load_definitions

pytestmark = [pytest.mark.long, pytest.mark.broker, pytest.mark.timeout(1_800)]


@pytest.mark.parametrize("decider", ["evidence", "vllm"])
def test_the_demo_tells_its_story(tmp_path: Path, decider: str) -> None:
    """With `vllm` it needs the environment of `make setup-vllm`, as `make test-long` does."""
    folder = tmp_path / "demo"
    command = [
        sys.executable,
        "-m",
        "streams.cli",
        "demo",
        "--folder",
        str(folder),
        "--customers",
        "20",
        "--json",
        "--decider",
        decider,
    ]
    command += [
        "--until",
        "2017-08-01",
        "--live-seconds",
        "20" if decider == "evidence" else "90",
        "--train-scale",
        "0.2",
        "--language-scale",
        "0.1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1_700, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert json.loads(done.stdout) == report
    assert report.keys() >= KEYS
    assert complaints(report) == []
    # So few customers hardly meet in a store, nor are invited: of those kinds there may be too little to learn from.
    assert set(report["by_kind"]) >= {"purchase", "promotion_response", "basket_completion"}
    assert report["twins"] == report["verify_total"] > 15
    assert report["duplicates_injected"] > 0 < report["poison_injected"] == report["dead_lettered"]
    assert (folder / "report.png").stat().st_size > 10_000
    assert (folder / "twins.toml").exists()
    assert report["decider"] == decider
    assert decider in report["answered_by"]
    assert sum(report["answered_by"].values()) == round(report["answered_share"] * report["queries"])
    if decider == "vllm":
        assert set(report["same_questions"]) == {"vllm", "evidence"}
        assert {same["n_scored"] > 0 for same in report["same_questions"].values()} == {True}
        assert set(report["adapters"]) < set(load_definitions().names)
        assert any(name.startswith("vllm/") for name in report["by_adapter"])
