"""Strings as 64-bit keys: skus, stores and ids enter the columnar state by a stable hash.

A hash needs no dictionary to agree on between machines, so partial twins from different partitions add up. It
is XXH64, because compiled code can compute it too (`twin_store.hashing`). At ten million distinct strings the
chance of any two sharing a key is about 3 in a million.
"""

from functools import lru_cache

from xxhash import xxh64_digest

MEMO_MAX = 2_000_000
VISITS_MAX = 100_000


def key_of(text: str) -> int:
    """The signed 64-bit key of a string."""
    return int.from_bytes(xxh64_digest(text.encode()), "big", signed=True)


class KeyMemo(dict[str, int]):
    """`memo[text]` is `key_of(text)`, computed once. Forgets everything when it grows past `MEMO_MAX`."""

    def __missing__(self, text: str) -> int:
        if len(self) >= MEMO_MAX:
            self.clear()
        key = self[text] = key_of(text)
        return key


@lru_cache(maxsize=VISITS_MAX)
def visit_parts(name: str) -> tuple[str, str]:
    """The channel and the store of a `visit_name`; the store is empty where none was given."""
    channel, _, store = name.partition("/")
    return channel, store


def visit_name(channel: str, store_id: str | None) -> str:
    """The string whose key a visit has."""
    return f"{channel}/{store_id or ''}"
