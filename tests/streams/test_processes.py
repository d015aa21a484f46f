"""Every process of the system runs from its command and says how it is."""

from __future__ import annotations

import httpx
import pytest

from streams.broker import free_port
from streams.processes import PROCESSES
from streams.settings import Settings
from streams.supervisor import Supervisor
from streams.telemetry import RunningProcess, running_processes
from streams.topic_admin import apply_topics
from tests.streams.running import eventually

LANES = {"updater", "indexer", "worker", "settler"}
START_S = 120.0  # the indexer loads torch


@pytest.mark.broker
def test_each_process_answers_for_its_metrics_its_health_and_its_readiness(settings: Settings) -> None:
    settings = settings.model_copy(
        update={"partitions": 1, "metrics_port": 29300, "console_port": free_port()}
    )
    apply_topics(settings)
    supervisor = Supervisor(settings, [(process.name, "0") for process in PROCESSES])
    supervisor.start()
    try:
        eventually(lambda: len(running_processes(settings)) == len(PROCESSES), "all processes", START_S)
        for running in running_processes(settings):
            assert _status(running, "/healthz") == 200
            eventually(lambda it=running: _status(it, "/readyz") == 200, f"{running.process} to be ready")  # type: ignore[misc]
            metrics = httpx.get(f"{running.url}/metrics", timeout=10).text
            assert f"\n# TYPE twins_{running.process}_" in metrics
            if running.process in LANES:
                assert f"\ntwins_{running.process}_lag 0.0\n" in metrics
    finally:
        killed = supervisor.stop()
    assert killed == []


def _status(running: RunningProcess, path: str) -> int:
    return httpx.get(f"{running.url}{path}", timeout=10).status_code
