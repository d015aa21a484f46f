"""How many tokens a prompt has, as far as that can be known on this side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def token_counter(tokenizer: Path | None) -> Callable[[str], int]:
    """Counts exactly with the model's `tokenizer.json`; without one, an upper bound: a token is a byte at least.

    Raises:
        ValueError: the file cannot be read, or `tokenizers` is not installed.
    """
    if tokenizer is None:
        return lambda text: len(text.encode("utf-8", errors="replace"))
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ValueError("to count tokens by a tokenizer's file, `tokenizers` must be installed") from None
    try:
        loaded = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{tokenizer} is no tokenizer: {error}") from None
    return lambda text: len(loaded.encode(text, add_special_tokens=False).ids)
