"""Children are started, started again after a crash, and ended cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from streams.settings import Settings, load_settings
from streams.supervisor import Supervisor, child_environment
from streams.telemetry import running_processes
from streams.topic_admin import apply_topics
from tests.streams.running import eventually


def test_children_get_exactly_these_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline_settings: Settings
) -> None:
    (tmp_path / "twins.toml").write_text('lake_url = "s3://somewhere/else"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWINS_CURRENCY", "EUR")
    settings = offline_settings.model_copy(
        update={"currency": "JPY", "pseudonym_key": SecretStr("k" * 20), "query_cooldown_hours": 0.5}
    )
    environment = child_environment(settings)
    assert "k" * 20 not in Path(environment["TWINS_CONFIG"]).read_text()
    for name in [name for name in os.environ if name.startswith("TWINS_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings.model_copy(update={"data_dir": settings.data_dir.resolve()})


@pytest.mark.broker
def test_a_killed_child_comes_back_and_all_end_cleanly(settings: Settings) -> None:
    settings = settings.model_copy(update={"partitions": 1, "metrics_port": 29100})
    apply_topics(settings)
    supervisor = Supervisor(settings, [("updater", "0"), ("lake", "0")])
    supervisor.start()
    try:
        eventually(lambda: len(running_processes(settings)) == 2, "both children to run")
        updater = supervisor.children[0]
        first = updater.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        eventually(lambda: supervisor.tend() == [updater], "the crash to be seen")
        assert (updater.state, updater.exit_code) == ("waiting", -signal.SIGKILL)
        eventually(lambda: (supervisor.tend(), updater.pid)[1] is not None, "the updater to be started again")
        assert updater.pid != first
        eventually(lambda: len(running_processes(settings)) == 2, "both children to run again")
    finally:
        killed = supervisor.stop()
    assert killed == [], updater.log.read_text()
    assert [(child.state, child.exit_code) for child in supervisor.children] == [
        ("ended", 0),
        ("ended", 0),
    ], updater.log.read_text()
    assert running_processes(settings) == []
    assert '"level"' in updater.log.read_text() or updater.log.read_text() == ""


@pytest.mark.broker
def test_children_of_a_killed_supervisor_end_by_themselves(settings: Settings) -> None:
    settings = settings.model_copy(update={"partitions": 1})
    apply_topics(settings)
    program = (
        "import time\n"
        "from streams.settings import load_settings\nfrom streams.supervisor import Supervisor\n"
        "Supervisor(load_settings(), [('lake', '0')]).start()\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], env=child_environment(settings))
    try:
        eventually(lambda: len(running_processes(settings)) == 1, "the child to run")
    finally:
        parent.kill()
        parent.wait()
    eventually(lambda: running_processes(settings) == [], "the child to end")
