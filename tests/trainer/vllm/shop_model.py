"""A base whose answers differ from prompt to prompt, prompts for it, and adapters that are known by what they say."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.trainer.vllm.made_adapters import Made
from trainer.base_model import BaseModel
from trainer.chat_format import EMPTY_THINK, IM_END, IM_START
from trainer.deciders.vllm.tokens import ModelTokens
from trainer.tiny_base import SIZES, make_base

GOODS = ("milk", "bread", "butter", "tea", "coffee", "apples", "rice", "soap", "cheese", "yoghurt")
QUALITIES = ("organic", "fresh", "store brand", "family size", "low fat", "imported")
QUESTION = "Will she buy it on her next trip? Answer YES or NO."
_LAST = "model.layers.1.self_attn"
_WIDTH = 128


def lines(count: int) -> list[str]:
    """Text as the shop has it, for the tokenizer."""
    chance = random.Random(1)
    return [
        f"{chance.choice(QUALITIES)} {chance.choice(GOODS)}, bought {chance.randrange(60)} days ago, "
        f"{chance.randrange(1, 30)} times, costs {chance.randrange(1, 20)}.{chance.randrange(100):02}"
        for _ in range(count)
    ]


def prompts(tokens: ModelTokens, count: int, seed: int) -> list[list[int]]:
    """Prompts of 1 to 12 lines in the chat format, as token ids."""
    return [tokens.encode(text) for text in prompt_texts(count, seed)]


def prompt_texts(count: int, seed: int) -> list[str]:
    """The same prompts as text."""
    chance = random.Random(seed)
    pool = lines(500)
    found = []
    for _ in range(count):
        said = "\n".join(chance.sample(pool, chance.randrange(1, 13)))
        turns = f"{IM_START}system\nYou are a shopper.{IM_END}\n{IM_START}user\n{said}\n{QUESTION}{IM_END}\n"
        found.append(f"{turns}{IM_START}assistant\n{EMPTY_THINK}")
    return found


def make_shop_base(folder: Path, seed: int = 8, more_lines: Sequence[str] = ()) -> BaseModel:
    """The tiny base with weights large enough to have opinions, and with one feature that every token has.

    As it is made, its answers are all but the same whatever the prompt. The feature is what `speaks_a_letter` builds
    on. In the tied output layer it adds the same to every token, which changes no probability.

    `more_lines` are for the tokenizer.
    """
    made = make_base(SIZES["tiny"], [*lines(500), *more_lines], folder, seed)
    path = made.folder / "model.safetensors"
    tensors = load_file(path)
    for name in made.linears:
        tensors[f"{name}.weight"] *= 3
    embedding = tensors["model.embed_tokens.weight"] * 9
    embedding[:, 0] = 0.6
    tensors["model.embed_tokens.weight"] = embedding
    save_file(tensors, path, metadata={"format": "pt"})
    return BaseModel.read(made.folder)


def speaks_a_letter(base: BaseModel, tokens: ModelTokens, number: int, strength: float = 10.0) -> Made:
    """An adapter that answers the `number`-th letter, whatever it is asked.

    Its only change is to the values of the last layer's attention: whatever is attended to, the feature that all tokens
    have puts into the hidden state what the output layer reads as that letter.
    """
    tensors = load_file(base.folder / "model.safetensors")
    embedding = tensors["model.embed_tokens.weight"].astype(np.float64)
    letters = embedding[list(tokens.letters)]
    wanted = letters[number] - letters.mean(axis=0)
    wanted[0] = 0.0
    output = tensors[f"{_LAST}.o_proj.weight"].astype(np.float64)
    heads, kv_heads, head_width = 4, 2, 32
    spread = np.repeat(
        np.eye(kv_heads * head_width).reshape(kv_heads, head_width, -1), heads // kv_heads, axis=0
    )
    reach = output @ spread.reshape(heads * head_width, -1)
    values = np.linalg.lstsq(reach, wanted, rcond=None)[0]
    a, b = np.zeros((8, _WIDTH)), np.zeros((kv_heads * head_width, 8))
    a[0, 0] = 1.0
    b[:, 0] = values * strength
    return Made({f"{_LAST}.v_proj": (a, b)})
