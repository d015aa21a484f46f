"""A small model of Qwen3's shape with its tokenizer, from scratch: a base to test with where no hub can be reached.

Its weights are random, so it knows nothing until it is trained. What it has is everything around them: the layout of
a real model's folder, its chat format, and answers that are one token each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.base_model import BaseModel
from trainer.chat_format import CHAT_TEMPLATE, END_OF_TEXT, IM_END
from trainer.own_tokenizer import train_tokenizer
from twin_store.lake import Lake
from twin_store.messages import CatalogItem
from twin_store.messages.codec import decode
from twin_store.products.text import text_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast, Qwen3Config


class TinyBaseError(ValueError):
    """No base can be made here: something is not installed, or there is nothing to learn a tokenizer from."""


@dataclass(frozen=True)
class BaseSize:
    """The shape of a model. `tokens` is the most that its vocabulary has, `context` the longest text in tokens."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    intermediate: int
    tokens: int
    context: int


SIZES = {
    "tiny": BaseSize(
        128, 2, heads=4, kv_heads=2, head_width=32, intermediate=384, tokens=3_072, context=4_096
    ),
    "small": BaseSize(
        256, 4, heads=4, kv_heads=2, head_width=64, intermediate=768, tokens=8_192, context=4_096
    ),
}


def catalogue_lines(lake: Lake) -> list[str]:
    """The text of each product in the lake's catalogue, each once, in order of the alphabet."""
    values = lake.scan_catalog().select("value").collect().to_series().to_list()
    return sorted({text_of(decode(CatalogItem, value.encode())) for value in values})


def make_base(
    size: BaseSize,
    lines: Sequence[str],
    folder: Path,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
    whole: Sequence[str] = (),
) -> BaseModel:
    """Make a model in an empty or new folder. The same arguments give the same files with the same packages.

    Args:
        whole: texts that are one token each, whatever is in them.

    Raises:
        TinyBaseError: `transformers` or `torch` is missing, the folder holds something, or there are no lines.
    """
    try:
        import torch
        from transformers import Qwen3ForCausalLM
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise TinyBaseError(
            f"a base model needs {error.name}; install the extra: pip install 'shopping-twins[trainer]'"
        ) from None
    if not any(line.strip() for line in lines):
        raise TinyBaseError("there is no text to learn a tokenizer from")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TinyBaseError(f"{folder} exists and is not an empty folder; a base is never overwritten")
    tokenizer = _with_chat(train_tokenizer(lines, size.tokens, whole), size)
    say(f"{len(tokenizer)} tokens, learnt from {len(lines)} lines")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(_config(size, tokenizer))
    say(f"{model.num_parameters():,} parameters")
    disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return BaseModel.read(folder)


def _with_chat(tokenizer: Tokenizer, size: BaseSize) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=IM_END,
        pad_token=END_OF_TEXT,
        model_max_length=size.context,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _config(size: BaseSize, tokenizer: PreTrainedTokenizerFast) -> Qwen3Config:
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        head_dim=size.head_width,
        max_position_embeddings=size.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.backend_tokenizer.token_to_id(IM_END),
        pad_token_id=tokenizer.backend_tokenizer.token_to_id(END_OF_TEXT),
        dtype="float32",
    )
