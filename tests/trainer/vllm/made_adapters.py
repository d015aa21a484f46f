"""Adapters and bases made for tests: published by the registry, as the trainer's are."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save, save_file

from trainer.base_model import BaseModel
from trainer.calibration import Curve, Temperature
from trainer.deciders.vllm.adapters import CONFIG, WEIGHTS
from trainer.deciders.vllm.canaries import Canaries, Canary
from trainer.deciders.vllm.settings import ADAPTABLE
from trainer.publish_adapter import publish_adapter
from trainer.registry import MANIFEST, Registry
from twin_store.messages.decisions import QuestionKind

UNTIL = datetime(2024, 1, 1, tzinfo=UTC)
A_CANARY = Canaries((Canary((1, 2, 3), 0.5),))
Weights = dict[str, np.ndarray]


@dataclass
class Made:
    """An adapter to be published. `weights` by module: A (rank, inputs) and B (outputs, rank) of each."""

    weights: dict[str, tuple[np.ndarray, np.ndarray]]
    canaries: Canaries = A_CANARY
    config: dict[str, Any] = field(default_factory=dict)
    calibration: dict[QuestionKind, Curve | Temperature] | None = None

    @property
    def rank(self) -> int:
        """The rank of its modules."""
        return int(next(iter(self.weights.values()))[0].shape[0])

    def tensors(self) -> Weights:
        """As PEFT names them, in float32."""
        found = {}
        for module, (a, b) in self.weights.items():
            found[f"base_model.model.{module}.lora_A.weight"] = np.ascontiguousarray(a, np.float32)
            found[f"base_model.model.{module}.lora_B.weight"] = np.ascontiguousarray(b, np.float32)
        return found

    def peft(self) -> dict[str, bytes]:
        """The files that PEFT would leave. The scale of the weights is 1."""
        config = {
            "peft_type": "LORA",
            "r": self.rank,
            "lora_alpha": self.rank,
            "target_modules": sorted({module.rsplit(".", 1)[-1] for module in self.weights}),
            "bias": "none",
        }
        return {
            CONFIG: json.dumps(config | self.config).encode(),
            WEIGHTS: save(self.tensors(), metadata={"format": "pt"}),
        }

    def publish(self, models: Path, segment: str, base: BaseModel) -> Path:
        """The folder of the published version."""
        manifest = publish_adapter(
            Registry(str(models)),
            segment,
            base,
            self.peft(),
            self.canaries,
            until=UNTIL,
            created_at=UNTIL,
            calibration=self.calibration,
        )
        return models / manifest.decider / manifest.version


def random_adapter(base: BaseModel, rank: int, size: float, seed: int) -> Made:
    """Changes everything that can be, by chance."""
    generator = np.random.default_rng(seed)
    weights = {}
    for module, (outputs, inputs) in sorted(base.linears.items()):
        if module.rsplit(".", 1)[-1] in ADAPTABLE:
            a = generator.normal(0, size, (rank, inputs))
            b = generator.normal(0, size, (outputs, rank))
            weights[module] = (a, b)
    return Made(weights)


def stub_base(folder: Path) -> BaseModel:
    """A base of one layer that nobody can run, but that adapters can be checked against."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    shapes = {"q_proj": (32, 16), "k_proj": (16, 16), "v_proj": (16, 16), "o_proj": (16, 32)}
    tensors = {
        f"model.layers.0.self_attn.{name}.weight": np.zeros(shape, np.float32)
        for name, shape in shapes.items()
    }
    mlp = {"gate_proj": (24, 16), "up_proj": (24, 16), "down_proj": (16, 24)}
    tensors |= {
        f"model.layers.0.mlp.{name}.weight": np.zeros(shape, np.float32) for name, shape in mlp.items()
    }
    tensors["model.embed_tokens.weight"] = np.zeros((50, 16), np.float32)
    tensors["model.norm.weight"] = np.zeros(16, np.float32)
    save_file(tensors, folder / "model.safetensors")
    return BaseModel.read(folder)


def reseal(folder: Path) -> None:
    """Let the manifest name the files as they are now: what is wrong with them is all that is wrong."""
    import hashlib

    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"] = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != MANIFEST
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))
