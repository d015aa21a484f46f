"""The text of a product that is embedded, and its hash. Pure: the same item gives the same text everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

import xxhash

from twin_store.messages import CatalogItem

# MiniLM reads 256 word pieces; what comes after some 1,500 characters would only slow the tokenizer.
TEXT_MAX_CHARS = 1_500
_WORD = re.compile(r"\w+")
_SPACE = re.compile(r"\s+")


def text_of(item: CatalogItem) -> str:
    """Name, taxonomy from narrow to broad, brand, package size, description; each said once, in lower case.

    A part that adds no word to those before it is left out: retailers repeat the type and the size in the
    name, and a text that says the same twice lies nearer to others that do than to the same product.
    """
    kept: list[str] = []
    words: set[str] = set()
    for part in _parts(item):
        spaced = _SPACE.sub(" ", part).strip().lower()
        new = set(_WORD.findall(spaced))
        if new - words:
            kept.append(spaced)
            words |= new
    return ", ".join(kept)[:TEXT_MAX_CHARS]


def text_hash(text: str) -> str:
    """128 bits of a text as 32 hex digits: equal texts share it, and for different ones it differs."""
    return xxhash.xxh3_128_hexdigest(text.encode())


def _parts(item: CatalogItem) -> Iterator[str]:
    for part in (item.name, item.item_type, item.section, item.division, item.brand):
        if part:
            yield part
    if item.private_label:
        yield "store brand"
    for part in (item.package_size, item.description):
        if part:
            yield part
