"""A byte-level BPE tokenizer from our own text, shaped like Qwen3's. Needs `tokenizers`, nothing from a hub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainer.chat_format import END_OF_TEXT, END_THINK, IM_END, IM_START, LETTERS, NO_TOKEN, THINK, YES_TOKEN

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Qwen's: words with the space before them, digits one by one, runs of punctuation, line ends.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTROL = (END_OF_TEXT, IM_START, IM_END)
MARKS = (THINK, END_THINK)


def train_tokenizer(lines: Sequence[str], tokens: int, whole: Sequence[str] = ()) -> Tokenizer:
    """A tokenizer of at most `tokens` tokens, and one for each of the texts in `whole`.

    The same arguments in the same order give the same one.

    Every byte is a token, so every text can be told and the letters of the options are one token each; YES and NO are
    merged before anything rarer than the lines themselves.

    Raises:
        ImportError: `tokenizers` is not installed.
        ValueError: `tokens` leaves no room for all of these.
    """
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=tokens - len(CONTROL) - len(MARKS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    answers = [YES_TOKEN, NO_TOKEN] * (len(lines) + 1)
    tokenizer.train_from_iterator([*lines, *answers], trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in CONTROL])
    tokenizer.add_tokens([AddedToken(text, special=False) for text in MARKS])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in whole])
    for text in (YES_TOKEN, NO_TOKEN, *LETTERS):
        if len(tokenizer.encode(text).ids) != 1:
            raise ValueError(f"{tokens} tokens are too few: {text} is not one of them")
    return tokenizer
