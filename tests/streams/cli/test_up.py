"""`twins up` starts what it is told to, shows it, and ends all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streams.broker import free_port
from streams.cli.up import parse_processes, with_metrics
from streams.errors import UsageError
from streams.processes import PROCESSES
from streams.settings import METRICS_PORT, Settings
from streams.telemetry import running_processes
from tests.streams.running import eventually


def test_processes_are_parsed() -> None:
    assert parse_processes(None) == [(process.name, "0") for process in PROCESSES]
    assert parse_processes("updater=2, lake") == [("updater", "0"), ("updater", "1"), ("lake", "0")]
    for wrong in ("updater=0", "updater=x", "updatr", ","):
        with pytest.raises(UsageError):
            parse_processes(wrong)


def test_the_view_needs_metrics(offline_settings: Settings) -> None:
    assert with_metrics(offline_settings).metrics_port == METRICS_PORT
    named = offline_settings.model_copy(update={"metrics_port": 5})
    assert with_metrics(named) is named


@pytest.mark.broker
def test_up_runs_a_broker_and_the_processes_until_it_is_told_to_stop(
    tmp_path: Path, offline_settings: Settings
) -> None:
    settings = offline_settings.model_copy(update={"kafka_bootstrap": f"127.0.0.1:{free_port()}"})
    environment = os.environ | {
        "TWINS_DATA_DIR": str(settings.data_dir),
        "TWINS_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "TWINS_METRICS_PORT": "29200",
        "TWINS_PARTITIONS": "1",
    }
    twins = [sys.executable, "-m", "streams.cli"]
    output = tmp_path / "up.txt"
    with output.open("w") as stdout:
        up = subprocess.Popen([*twins, "up", "--json", "--processes", "lake"], env=environment, stdout=stdout)
    try:
        eventually(lambda: bool(running_processes(settings)), "the lake writer to run")
        status = subprocess.run(
            [*twins, "status", "--json"], env=environment, capture_output=True, text=True, check=True
        )
        second = subprocess.run(
            [*twins, "up", "--plain"], env=environment, capture_output=True, text=True, check=False
        )
    finally:
        up.send_signal(signal.SIGINT)
        code = up.wait(60)
    seen = json.loads(status.stdout)
    assert [part["name"] for part in seen["parts"]] == ["lake"]
    assert seen["reachable"]
    assert (second.returncode, "runs already: lake" in second.stderr) == (2, True)
    assert code == 0, output.read_text()
    assert all({"parts", "score"} <= set(json.loads(row)) for row in output.read_text().splitlines())
    assert running_processes(settings) == []
    assert not (settings.data_dir / "broker" / "broker.pid").exists()
    gone = subprocess.run([*twins, "status"], env=environment, capture_output=True, text=True, check=False)
    assert gone.returncode == 1
    assert "nothing runs here" in gone.stdout
