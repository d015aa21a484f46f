"""Text from outside made harmless: product names, campaigns, statements, whatever a retailer or a customer wrote.

It stands in a prompt as one quoted piece of one line, `"like this"`, after a label of ours. Nothing in it can end the
quotes, begin a line, spell a special token of a tokenizer, a tag of a role or a line of evidence. What it says is
data: the system part of a prompt tells the model so.
"""

import re
import unicodedata
from functools import lru_cache

TEXT_CHARS_MAX = 80
_RAW_PER_CHAR = 8  # so much of an endless text is looked at, for each character that may stay
_MEMO_MAX = 50_000  # names come again and again

# Every special token is written with one of `<>|[]{}`: `<|im_start|>`, `<think>`, `[INST]`, `</s>`, `{{ }}`. Without
# them, and without backslashes and backticks, no such token and no fence can be spelt. A colon stands in every line
# of evidence, which a tokenizer may know as one token.
_REPLACED = str.maketrans(
    {
        **dict.fromkeys("<[{‹〈⟨«❮", "("),
        **dict.fromkeys(">]}›〉⟩»❯", ")"),
        **dict.fromkeys("|\\¦∣│┃", "/"),
        **dict.fromkeys('"`“”„‟‘’‚‛′″‴´❝❞', "'"),
        **dict.fromkeys(":ː∶꞉", ","),
        "▁": "_",
    }
)
_DROPPED = {"Cf", "Cs", "Co", "Cn"}  # invisible and bidirectional marks, halves of characters, private ones
_SPACED = {"Cc", "Zl", "Zp", "Zs"}
_REPEATED = re.compile(r"([^\w\s])\1+")
_SWITCH = re.compile(r"/(?=(?:no_?)?think)", re.IGNORECASE)
_AMOUNT = re.compile(r"-?[0-9]{1,17}(?:\.[0-9]{1,4})?")


def quoted(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """The text in double quotes, harmless, on one line and cut to `chars_max` characters."""
    return _quoted(text[: _RAW_PER_CHAR * chars_max], chars_max)


@lru_cache(_MEMO_MAX)
def _quoted(text: str, chars_max: int) -> str:
    return f'"{harmless(text, chars_max)}"'


def harmless(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """The text without quotes around it: one line, no marker, at most `chars_max` characters. Idempotent."""
    # Compatibility forms first: a full-width bracket would become one in a tokenizer that normalises.
    plain = _visible(unicodedata.normalize("NFKC", _visible(text))).translate(_REPLACED)
    # Some models are told to think, or not to, by a word in the text.
    plain = " ".join(_SWITCH.sub("-", plain).split())
    # Rows of one sign are fences or headings (###, ---, ===); a name loses nothing by them.
    return _REPEATED.sub(r"\1", plain)[:chars_max].rstrip()


def amount(text: str | None) -> str:
    """A decimal number as it stands, `unknown` for anything else: fast decoders leave money unchecked."""
    return text if text is not None and _AMOUNT.fullmatch(text) else "unknown"


def _visible(text: str) -> str:
    """What can be seen of it; whatever breaks a line or is blank is a space."""
    kept = []
    for char in text:
        category = unicodedata.category(char)
        if category not in _DROPPED:
            kept.append(" " if category in _SPACED else char)
    return "".join(kept)
