"""A trained adapter into the registry if the gate lets it, and the result of the training as a file."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from trainer.gate.verdict import Verdict
from trainer.publish_adapter import publish_adapter
from trainer.registry import Manifest, Registry
from trainer.training.adapter import TrainedAdapter
from trainer.training.config import TrainingConfig
from trainer.training.runs import libraries

RESULT = "result.json"
Publish = Literal["passed", "always"]


def publish_trained(
    registry: Registry,
    segment: str,
    trained: TrainedAdapter,
    config: TrainingConfig,
    until: datetime,
    created_at: datetime,
    publish: Publish = "passed",
) -> Manifest | None:
    """Publish an adapter with its verdict; None where the gate refused it and its word counts.

    Its manifest says under `kinds` which questions it may answer; what it is not better at stays with evidence.
    """
    if publish == "passed" and not trained.verdict.passed:
        return None
    return publish_adapter(
        registry,
        segment,
        trained.base,
        trained.files | trained.verdict.to_files(),
        trained.canaries,
        until=until,
        created_at=created_at,
        calibration=trained.calibration,
        buckets=trained.buckets,
        metrics=trained.metrics,
        settings={
            "segment": segment,
            "kinds": list(trained.verdict.published_for),
            "training": json.loads(json.dumps(config.to_json())),
            "libraries": libraries(),
        },
    )


def write_result(folder: Path, manifest: Manifest | None, verdict: Verdict, train_s: float) -> dict[str, Any]:
    """Leave what came of a training in its folder: `result.json`, and the verdict for people beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in verdict.to_files().items():
        (folder / name).write_bytes(content)
    result = {
        "version": None if manifest is None else manifest.version,
        "manifest": None if manifest is None else asdict(manifest),
        "verdict": verdict.to_json(),
        "train_s": round(train_s, 1),
    }
    beside = folder / f".{RESULT}.new"
    beside.write_text(json.dumps(result, indent=2))
    beside.replace(folder / RESULT)
    return result
