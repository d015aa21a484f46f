"""Metrics and health over HTTP, logs without secrets or customer ids, and the files of running processes."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from streams.broker import free_port
from streams.errors import TwinsError
from streams.settings import Settings
from streams.telemetry import RunningProcess, StagedCounts, Telemetry, configure_logging, running_processes
from streams.telemetry.endpoint import Endpoint
from streams.telemetry.run_files import run_folder


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def get(telemetry: Telemetry, path: str) -> tuple[int, str]:
    """Status and body of one request to the endpoint."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{telemetry.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


# Metrics and health


def test_metrics_are_served_under_the_name_of_the_process(offline_settings: Settings) -> None:
    with Telemetry("lake-writer", offline_settings, port=0) as telemetry:
        telemetry.counter("events", "Events written", ["topic"]).labels("a").inc(3)
        telemetry.gauge("lag", "Records behind").set(7)
        telemetry.histogram("commit_seconds", "A commit").observe(0.02)
        status, body = get(telemetry, "/metrics?x=1")
        assert status == 200
        assert 'twins_lake_writer_events_total{topic="a"} 3.0' in body
        assert 'twins_lake_writer_commit_seconds_bucket{le="0.025"} 1.0' in body
        assert "process_resident_memory_bytes" in body
        snapshot = telemetry.snapshot()
        assert snapshot['twins_lake_writer_events_total{topic="a"}'] == 3
        assert snapshot["twins_lake_writer_lag"] == 7
        assert snapshot["twins_lake_writer_commit_seconds_count"] == 1
        assert get(telemetry, "/elsewhere")[0] == 404


def test_ready_says_ready_and_health_fails_when_the_loop_falls_silent(offline_settings: Settings) -> None:
    with Telemetry("updater", offline_settings, port=0, stalled_after_s=0.0) as telemetry:
        assert [get(telemetry, path)[0] for path in ("/healthz", "/readyz")] == [200, 503]
        telemetry.ready()
        assert get(telemetry, "/readyz") == (200, '{"ok": true, "detail": "ready"}')
        telemetry.beat()
        status, body = get(telemetry, "/healthz")
        assert (status, json.loads(body)["ok"]) == (503, False)
        telemetry.ready(False)
        assert get(telemetry, "/readyz")[0] == 503
    with Telemetry("updater", offline_settings, port=0) as telemetry:
        telemetry.beat()
        assert get(telemetry, "/healthz")[0] == 200


def test_processes_of_a_machine_share_one_port_setting(offline_settings: Settings) -> None:
    settings = offline_settings.model_copy(update={"metrics_port": free_port()})
    with Telemetry("updater", settings) as first, Telemetry("worker", settings) as second:
        assert first.port is not None
        assert second.port is not None
        assert settings.metrics_port <= first.port < second.port
    with Telemetry("updater", offline_settings) as off:
        assert off.port is None


def test_an_address_of_another_machine_is_refused() -> None:
    telemetry = Telemetry("updater", Settings())
    with pytest.raises(TwinsError, match="TWINS_BIND_HOST"):
        Endpoint("192.0.2.1", 0, telemetry.registry, lambda: (True, ""), lambda: (True, ""))


# Run files


def test_running_processes_are_found_and_leave_when_they_stop(offline_settings: Settings) -> None:
    assert running_processes(offline_settings) == []
    with Telemetry("updater", offline_settings, port=0) as telemetry:
        (found,) = running_processes(offline_settings)
        assert (found.process, found.pid, found.port) == ("updater", os.getpid(), telemetry.port)
        assert found.url == f"http://127.0.0.1:{telemetry.port}"
    assert running_processes(offline_settings) == []


def test_the_file_of_a_killed_process_is_cleared_away(offline_settings: Settings) -> None:
    program = (
        "import sys, time; from streams.settings import Settings; from streams.telemetry import Telemetry;"
        "t = Telemetry('worker', Settings(data_dir=sys.argv[1])).start(); print('up', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(offline_settings.data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path.cwd()) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        assert [(each.process, each.pid) for each in running_processes(offline_settings)] == [
            ("worker", child.pid)
        ]
        child.send_signal(signal.SIGKILL)
    assert running_processes(offline_settings) == []
    assert list(run_folder(offline_settings).iterdir()) == []


def test_half_written_files_are_passed_over(offline_settings: Settings) -> None:
    with Telemetry("updater", offline_settings):
        run_folder(offline_settings).joinpath("worker-1.json").touch()
        assert [each.process for each in running_processes(offline_settings)] == ["updater"]
    assert RunningProcess("updater", 1, "127.0.0.1", None, "").url is None


# Logs


def logged(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """What one warning with everything delicate in it looks like."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging("updater", settings)
    log = logging.getLogger("streams.test")
    log.debug("not logged at this level")
    try:
        raise ValueError('sasl.password=p"ss-word')
    except ValueError:
        log.warning('connect with p"ss-word', extra={"customer_id": "c-17", "rows": 3}, exc_info=True)
    return stream.getvalue()


@pytest.mark.parametrize("key", [None, SecretStr("pseudo-key"), SecretStr("k" * 200)])
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_logs_hold_no_secret_and_no_customer_id(
    offline_settings: Settings, monkeypatch: pytest.MonkeyPatch, log_format: str, key: SecretStr | None
) -> None:
    settings = offline_settings.model_copy(
        update={"log_format": log_format, "pseudonym_key": key, "kafka_sasl_password": SecretStr('p"ss-word')}
    )
    text = logged(settings, monkeypatch)
    assert "ss-word" not in text
    assert "c-17" not in text
    assert "connect with ***" in text
    assert "not logged" not in text
    if log_format == "json":
        (line,) = text.splitlines()
        row = json.loads(line)
        assert (row["level"], row["process"], row["pid"], row["rows"]) == (
            "WARNING",
            "updater",
            os.getpid(),
            3,
        )
        assert "ValueError" in row["exception"]
        assert len(row["customer_id"]) == 24


def test_pseudonyms_depend_on_the_key_alone(
    offline_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def name(key: str) -> str:
        update = {"log_format": "json", "pseudonym_key": SecretStr(key)}
        return str(json.loads(logged(offline_settings.model_copy(update=update), monkeypatch))["customer_id"])

    assert name("a") == name("a") != name("b")


def test_counts_of_a_batch_are_metrics_once_it_is_committed(offline_settings: Settings) -> None:
    telemetry = Telemetry("worker", offline_settings)
    dead, counts = telemetry.counter("dead", "x"), StagedCounts()
    counts.add(dead, 5)
    counts.aborted()
    counts.add(dead)
    assert telemetry.snapshot()["twins_worker_dead_total"] == 0
    counts.committed()
    counts.committed()
    assert telemetry.snapshot()["twins_worker_dead_total"] == 1
