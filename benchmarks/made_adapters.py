"""Adapters for measurements: weights by chance, with what they say heard from the engine itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from trainer.base_model import BaseModel
from trainer.deciders.language.readout import yes_no
from trainer.deciders.vllm.adapters import CONFIG, WEIGHTS
from trainer.deciders.vllm.canaries import Canaries, Canary
from trainer.deciders.vllm.engine import VllmEngine
from trainer.deciders.vllm.inference import LoadedAdapter
from trainer.deciders.vllm.settings import ADAPTABLE
from trainer.deciders.vllm.thread import EngineThread

SIZE = 0.5  # of the weights: large enough that the canaries tell the adapter from the base
NUMBER = 1_000_000  # far from those that the engine gives
GOODS = [
    f"{quality} {good}, bought {days} days ago, costs {price}.99"
    for quality in ("organic", "fresh", "family size", "low fat", "imported")
    for good in ("milk", "bread", "butter", "tea", "coffee", "apples", "rice", "soap", "cheese")
    for days, price in ((3, 1), (12, 4), (40, 9))
]


def adapter_files(base: BaseModel, rank: int, seed: int) -> dict[str, bytes]:
    """PEFT's files of an adapter that changes everything that can be."""
    chance = np.random.default_rng(seed)
    tensors = {}
    for module, (outputs, inputs) in sorted(base.linears.items()):
        if module.rsplit(".", 1)[-1] in ADAPTABLE:
            a, b = (
                chance.normal(0, SIZE, shape).astype(np.float32)
                for shape in ((rank, inputs), (outputs, rank))
            )
            tensors[f"base_model.model.{module}.lora_A.weight"] = a
            tensors[f"base_model.model.{module}.lora_B.weight"] = b
    config = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": rank,
        "bias": "none",
        "target_modules": list(ADAPTABLE),
    }
    return {CONFIG: json.dumps(config).encode(), WEIGHTS: save(tensors, metadata={"format": "pt"})}


def hear(engine: EngineThread, files: dict[str, bytes], folder: Path) -> Canaries:
    """Canaries from what an adapter says on this very engine: they prove nothing about it, and pass."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    prompts = [tuple(engine.engine.tokens.encode(text)) for text in GOODS[:3]]

    async def heard(at: VllmEngine) -> list[Canary]:
        inference, tokens = at._inference, at.tokens
        adapter = LoadedAdapter("heard", NUMBER, folder)
        await inference.load(adapter)
        found = []
        for prompt in prompts:
            said = await inference.first_token(prompt, (*tokens.yes, *tokens.no), adapter, 5)
            found.append(Canary(prompt, yes_no(said, tokens.yes, tokens.no).p_yes))
        await inference.unload(adapter)
        return found

    return Canaries(tuple(engine.run(heard(engine.engine))))
