"""A trained adapter into the registry, with all that must travel with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from trainer.base_model import BaseModel
from trainer.calibration import Curve, Temperature
from trainer.deciders.language.served import BUCKETS, CALIBRATION, calibration_to_json
from trainer.deciders.vllm.adapters import BASE_NAME, BASE_SHA256, CONFIG, WEIGHTS
from trainer.deciders.vllm.canaries import FILE, Canaries
from trainer.registry import Manifest, Registry
from twin_store.messages.base import format_instant
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import Buckets

DECIDER = "vllm"


def peft_files(folder: Path) -> dict[str, bytes]:
    """What PEFT's `save_pretrained` left of an adapter in a folder, without its model card.

    Raises:
        ValueError: it has no configuration, or no weights in safetensors.
    """
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"{folder} lacks {', '.join(missing)}; save with safetensors")
    return {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}


def publish_adapter(
    registry: Registry,
    segment: str,
    base: BaseModel,
    adapter: Mapping[str, bytes],
    canaries: Canaries,
    *,
    until: datetime,
    created_at: datetime,
    calibration: Mapping[QuestionKind, Curve | Temperature] | None = None,
    buckets: Buckets | None = None,
    metrics: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> Manifest:
    """Publish a version of a segment's adapter. The same files are the same version, for ever.

    Args:
        adapter: PEFT's files, as `peft_files` has them.
        canaries: what whoever trained it heard it say.
        until: nothing from this moment on was learnt from.
        calibration: by kind, fitted on its answers; kinds without one are told as the model says them.
        buckets: those that it was trained with.
        settings: of the training; the base is added to them.

    Raises:
        ValueError: the version is there and was trained on another base.
    """
    files = dict(adapter) | {FILE: canaries.to_json()}
    if calibration is not None:
        files[CALIBRATION] = calibration_to_json(calibration)
    if buckets is not None:
        files[BUCKETS] = buckets.to_json().encode()
    said = (settings or {}) | {BASE_NAME: base.name, BASE_SHA256: base.sha256}
    until_text, created_text = format_instant(until), format_instant(created_at)
    manifest = registry.publish(f"{DECIDER}/{segment}", until_text, created_text, files, metrics or {}, said)
    if manifest.settings.get(BASE_SHA256) != base.sha256:
        raise ValueError(f"{manifest.version} is there already, of base {manifest.settings.get(BASE_NAME)}")
    return manifest
