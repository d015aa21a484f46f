"""The demo's language model: a base and adapters trained on the past, in service before questions come."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from streams.adapters.reports import read_states
from streams.demo.stage import Stage
from streams.errors import TwinsError
from trainer.publish_adapter import DECIDER
from trainer.registry import Registry

BASE = "base"
ENGINE_START_S = 600.0
MODEL_UP = "twins_worker_model_up"


def engine_settings(data: Path) -> Mapping[str, Any]:
    """A deployment whose worker runs a small base on few cores, with evidence in its stead.

    One thread and a small cache: broker, updater, index and planner share the machine. A query that finds no room
    for five seconds is answered from the numbers, so what the engine cannot do in time shows as such.
    """
    return {
        "decider": "vllm",
        "vllm_model": data / BASE,
        "vllm_threads": 1,
        "vllm_eager": True,
        "vllm_dtype": "float32",
        "vllm_cache_mib": 256,
        "vllm_adapters_in_batch": 4,
        "vllm_adapters_in_memory": 8,
        "worker_in_flight_max": 128,
        "worker_busy_ms": 5_000,
        "worker_soft_deadline_ms": 30_000,
    }


def base_training(stage: Stage, until: datetime, scale: float) -> tuple[str, ...]:
    """The command that trains a base on what happened before `until`."""
    return (
        "train",
        "base",
        "--out",
        str(_base(stage)),
        "--run",
        str(_run(stage, BASE)),
        *_past(until, scale),
    )


def adapter_training(stage: Stage, segment: str, until: datetime, scale: float) -> tuple[str, ...]:
    """The command that trains a segment's adapter on what happened before `until`; it is not in service yet.

    It is published whatever its gate says: the demo shows how adapters serve, and `verdicts` what the gate said.
    """
    return (
        *("train", "adapter", "--segment", segment, "--base", str(_base(stage)), *_past(until, scale)),
        *("--run", str(_run(stage, segment)), "--publish", "always"),
    )


def verdicts(stage: Stage, segments: Sequence[str]) -> dict[str, Any]:
    """What the gate said of each segment's adapter, against the evidence decider on the last weeks before the demo."""
    found = {}
    for segment in segments:
        result = json.loads((_run(stage, segment) / "result.json").read_bytes())
        found[segment] = {"version": result["version"], "verdict": result["verdict"]}
    return found


def release(stage: Stage, segments: Sequence[str]) -> None:
    """Release the segments' current versions as anybody would, by command, and wait until the engine has them."""
    registry = Registry(stage.settings.models)
    with stage.phase("the engine starts, and takes the adapters in"):
        for segment in segments:
            version = registry.current(f"{DECIDER}/{segment}")
            if version is None:
                raise TwinsError(f"no adapter of {segment} was published")
            folder = f"{stage.settings.models}/{DECIDER}/{segment}/{version}"
            stage.run("adapters", "release", folder, "--base", str(_base(stage)))
        stage.wait_for(lambda: stage.metric(MODEL_UP) == 1, "the engine", ENGINE_START_S)
        stage.wait_for(lambda: _loaded(stage) >= set(segments), "an adapter in the engine")


def _loaded(stage: Stage) -> set[str]:
    """The segments whose release a worker has; raises `TwinsError` if one was refused."""
    states = [state for some in read_states(stage.settings).values() for state in some]
    for state in states:
        if state.status == "refused":
            raise TwinsError(f"the adapter of {state.segment} was refused: {state.detail}")
    time.sleep(1.0)  # each look reads the topic
    return {state.segment for state in states if state.status == "loaded"}


def _past(until: datetime, scale: float) -> tuple[str, ...]:
    return ("--until", f"{until:%Y-%m-%d}", "--scale", str(scale))


def _base(stage: Stage) -> Path:
    assert stage.settings.vllm_model is not None, "the stage is set for a language model"
    return stage.settings.vllm_model


def _run(stage: Stage, name: str) -> Path:
    """The folder of a training."""
    return stage.settings.data_dir / "runs" / name
