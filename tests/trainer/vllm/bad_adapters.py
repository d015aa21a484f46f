"""Every way in which an adapter can be wrong that is seen in its files, each made from a good one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.trainer.vllm.made_adapters import Weights, reseal
from trainer.deciders.language.served import BUCKETS, CALIBRATION
from trainer.deciders.vllm.adapters import BASE_SHA256, CONFIG, WEIGHTS
from trainer.deciders.vllm.canaries import FILE
from trainer.deciders.vllm.errors import Reason
from trainer.registry import MANIFEST

Spoil = Callable[[Path], None]
_Q = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"


def spoilt(good: Path, to: Path, name: str) -> Path:
    """A copy of a good adapter with the named thing wrong."""
    copy = to / f"{good.name}-{name.replace(' ', '-')}"
    shutil.copytree(good, copy)
    BAD[name][0](copy)
    return copy


def _manifest(**changes: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps(manifest | changes))

    return spoil


def _settings(**changes: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        manifest["settings"] |= changes
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return spoil


def _config(**changes: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(config | changes))
        reseal(folder)

    return spoil


def _weights(change: Callable[[Weights], Weights]) -> Spoil:
    def spoil(folder: Path) -> None:
        save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})
        reseal(folder)

    return spoil


def _renamed(old: str, new: str) -> Spoil:
    return _weights(lambda tensors: {name.replace(old, new): each for name, each in tensors.items()})


def _with(name: str, shape: tuple[int, ...]) -> Spoil:
    return _weights(lambda tensors: {**tensors, name: np.zeros(shape, np.float32)})


def _content(name: str, change: Callable[[bytes], bytes], sealed: bool = True) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))
        if sealed:
            reseal(folder)

    return spoil


def _extra(name: str, sealed: bool) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(b"")
        if sealed:
            reseal(folder)

    return spoil


def _with_file(name: str, content: bytes) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(content)
        reseal(folder)

    return spoil


def _without(name: str, sealed: bool = True) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        if sealed and name != MANIFEST:
            reseal(folder)

    return spoil


def _wide(tensors: Weights) -> Weights:
    """Twice the rank that the configuration says, in one module."""
    a, b = tensors[_Q.format("A")], tensors[_Q.format("B")]
    pair = {_Q.format("A"): np.concatenate([a, a]), _Q.format("B"): np.concatenate([b, b], axis=1)}
    return tensors | pair


BAD: dict[str, tuple[Spoil, Reason]] = {
    "no manifest": (_without(MANIFEST), Reason.MANIFEST),
    "a manifest that is no JSON": (_content(MANIFEST, lambda _: b"{", sealed=False), Reason.MANIFEST),
    "a manifest with a path": (_manifest(files={"../weights": "00"}), Reason.MANIFEST),
    "kinds of questions that are no names": (_settings(kinds=[7]), Reason.MANIFEST),
    "a manifest with numbers": (_manifest(files={}, settings=7), Reason.MANIFEST),
    "a file changed": (_content(WEIGHTS, lambda old: old[:-1] + b"\x7f", sealed=False), Reason.HASH),
    "a file cut off": (_content(WEIGHTS, lambda old: old[:-100], sealed=False), Reason.HASH),
    "a file missing": (_without(WEIGHTS, sealed=False), Reason.FILES),
    "no weights": (_without(WEIGHTS), Reason.FILES),
    "no canaries": (_without(FILE), Reason.FILES),
    "a file not listed": (_extra("notes.txt", sealed=False), Reason.FILES),
    "a pickle": (_extra("adapter_model.bin", sealed=True), Reason.FILES),
    "a pickle by another name": (_extra("optimizer.pt", sealed=True), Reason.FILES),
    "other weights beside": (_extra("more.safetensors", sealed=True), Reason.FILES),
    "cut off before it was sealed": (_content(WEIGHTS, lambda old: old[:-100]), Reason.TRUNCATED),
    "cut off in its header": (_content(WEIGHTS, lambda old: old[:50]), Reason.TRUNCATED),
    "weights that are something else": (_content(WEIGHTS, lambda _: b"PK\x03\x04" * 40), Reason.TRUNCATED),
    "an empty file of weights": (_content(WEIGHTS, lambda _: b""), Reason.TRUNCATED),
    "more bytes than the header says": (_content(WEIGHTS, lambda old: old + b"\0" * 8), Reason.TRUNCATED),
    "another base": (_manifest(settings={BASE_SHA256: "00" * 32, "base_model": "other"}), Reason.BASE),
    "no base named": (_manifest(settings={}), Reason.BASE),
    "a configuration that is no JSON": (_content(CONFIG, lambda _: b"r=8"), Reason.CONFIG),
    "a configuration that is a list": (_content(CONFIG, lambda _: b"[]"), Reason.CONFIG),
    "another method": (_config(peft_type="IA3"), Reason.CONFIG),
    "a rank of nothing": (_config(r=0), Reason.CONFIG),
    "a rank above the limit": (_config(r=64), Reason.RANK),
    "a module's rank above the limit": (_config(rank_pattern={"q_proj": 64}), Reason.RANK),
    "a rank that the weights exceed": (_weights(_wide), Reason.RANK),
    "no scale": (_config(lora_alpha=None), Reason.CONFIG),
    "DoRA": (_config(use_dora=True), Reason.DORA),
    "DoRA in the weights": (
        _with("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", (32,)),
        Reason.DORA,
    ),
    "biases": (_config(bias="all"), Reason.UNSUPPORTED),
    "biases of LoRA": (_config(lora_bias=True), Reason.UNSUPPORTED),
    "an initialisation that changed the base": (_config(init_lora_weights="pissa"), Reason.UNSUPPORTED),
    "a saved output layer": (_config(modules_to_save=["lm_head"]), Reason.EMBEDDINGS),
    "trained tokens": (_config(trainable_token_indices={"embed_tokens": [5]}), Reason.EMBEDDINGS),
    "rows of embeddings": (_with("base_model.model.model.embed_tokens.weight", (50, 16)), Reason.EMBEDDINGS),
    "an adapted embedding": (
        _with("base_model.model.model.embed_tokens.lora_embedding_A", (4, 50)),
        Reason.EMBEDDINGS,
    ),
    "an adapted output layer": (_with("base_model.model.lm_head.lora_A.weight", (4, 16)), Reason.EMBEDDINGS),
    "rows that vLLM skips in silence": (
        _with("base_model.model.model.embed_tokens.base_layer.weight", (50, 16)),
        Reason.EMBEDDINGS,
    ),
    "a target that is not allowed": (_config(target_modules=["q_proj", "router"]), Reason.MODULE),
    "a prefix too many": (
        _renamed("base_model.model.model", "base_model.model.language.model"),
        Reason.MODULE,
    ),
    "a prefix too few": (_renamed("base_model.model.", ""), Reason.MODULE),
    "a layer that the base lacks": (_renamed("layers.0", "layers.7"), Reason.MODULE),
    "a module that the base lacks": (_renamed("q_proj", "qq_proj"), Reason.MODULE),
    "a full matrix": (_with("base_model.model.model.layers.0.mlp.up_proj.weight", (24, 16)), Reason.MODULE),
    "half of a pair": (_weights(lambda t: {n: e for n, e in t.items() if n != _Q.format("B")}), Reason.SHAPE),
    "a shape of another base": (
        _weights(lambda t: t | {_Q.format("A"): np.zeros((4, 7), np.float32)}),
        Reason.SHAPE,
    ),
    "a vector for a matrix": (
        _weights(lambda t: t | {_Q.format("A"): np.zeros(7, np.float32)}),
        Reason.SHAPE,
    ),
    "no tensors": (_weights(lambda _: {}), Reason.SHAPE),
    "canaries that are no JSON": (_content(FILE, lambda _: b"coal"), Reason.CANARIES),
    "canaries without prompts": (
        _content(FILE, lambda _: b'{"prompts": [], "tolerance": 0.02}'),
        Reason.CANARIES,
    ),
    "canaries that tolerate anything": (
        _content(FILE, lambda old: json.dumps(json.loads(old) | {"tolerance": 1.0}).encode()),
        Reason.CANARIES,
    ),
    "a calibration that is none": (_with_file(CALIBRATION, b'{"kinds": {}}'), Reason.CALIBRATION),
    "a calibration of no known kind": (
        _with_file(CALIBRATION, b'{"format": 1, "kinds": {"mood": {"curve": {}}}}'),
        Reason.CALIBRATION,
    ),
    "buckets that are no JSON": (_with_file(BUCKETS, b"[1, 2"), Reason.CALIBRATION),
}
