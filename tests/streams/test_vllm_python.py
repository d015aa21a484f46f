"""The worker with vLLM runs in another Python: it is found, or it is said how to make it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streams.errors import UsageError
from streams.settings import Settings
from streams.supervisor import Supervisor
from streams.vllm_python import CHECKOUT, COMPILED, ENVIRONMENT, vllm_python
from tests.chaos.updaters import environment
from tests.streams.running import eventually


@pytest.fixture
def settings(offline_settings: Settings, tmp_path: Path) -> Settings:
    """A deployment with the vllm decider, whose Python says how it was called and fails."""
    python = tmp_path / "python-of-vllm"
    python.write_text('#!/bin/sh\necho "called: $* with $NUMBA_CACHE_DIR"\nexit 3\n')
    python.chmod(0o755)
    return offline_settings.model_copy(
        update={"decider": "vllm", "vllm_model": tmp_path / "base", "vllm_python": str(python)}
    )


def twins(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments],
        env=environment(settings), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_missing_environment_is_named_with_what_makes_it(settings: Settings) -> None:
    with pytest.raises(UsageError, match="make setup-vllm"):
        vllm_python(settings.model_copy(update={"vllm_python": "/nowhere/python"}))
    with pytest.raises(UsageError, match="TWINS_VLLM_MODEL"):
        vllm_python(settings.model_copy(update={"vllm_model": None}))
    assert vllm_python(settings) == settings.vllm_python


def test_the_default_is_beside_the_checkout(settings: Settings) -> None:
    wanted = Path(__file__).resolve().parent.parent.parent / ENVIRONMENT / "bin" / "python"
    default = settings.model_copy(update={"vllm_python": ""})
    if wanted.is_file():
        assert vllm_python(default) == str(wanted)
    else:
        with pytest.raises(UsageError, match=ENVIRONMENT):
            vllm_python(default)


def test_only_the_worker_runs_in_it(settings: Settings) -> None:
    supervisor = Supervisor(settings, [("worker", "0"), ("lake", "0")])
    supervisor.start()
    worker, lake = supervisor.children
    try:
        eventually(lambda: bool(worker.last_words()), "the worker's Python to say something")
        assert worker.last_words().startswith("called: -m streams.cli run worker --member 0")
        assert worker.last_words().endswith(f" with {CHECKOUT / COMPILED}")
        assert lake.popen is not None
        assert lake.popen.args[0] == sys.executable  # type: ignore[index]
    finally:
        supervisor.stop()


def test_up_says_so_before_it_starts_anything(settings: Settings) -> None:
    bare = settings.model_copy(update={"vllm_python": "/nowhere/python"})
    done = twins(bare, "up", "--plain")
    assert (done.returncode, done.stdout) == (2, "")
    assert "make setup-vllm" in done.stderr
    done = twins(settings, "up", "--decider", "oracle")
    assert done.returncode == 2
    assert "there are evidence, vllm, openai" in done.stderr


def test_ask_runs_itself_in_it(settings: Settings) -> None:
    done = twins(settings, "ask", "c1", "--sku", "milk", "--decider", "vllm", "--json")
    assert (done.returncode, done.stdout) == (
        3,
        f"called: -m streams.cli ask c1 --sku milk --decider vllm --json with {CHECKOUT / COMPILED}\n",
    )  # fmt: skip


def test_a_worker_without_vllm_says_where_to_run_it(settings: Settings) -> None:
    done = twins(settings, "run", "worker")
    assert done.returncode == 2
    assert "make setup-vllm" in done.stderr
    done = twins(settings.model_copy(update={"decider": "openai"}), "run", "worker")
    assert done.returncode == 2
    assert "openai_url is not set" in done.stderr
