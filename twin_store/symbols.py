"""Strings as 64-bit keys: skus, stores and ids enter the columnar state by a stable hash.

A hash needs no dictionary to agree on between machines, so partial twins from different partitions add up. At
ten million distinct strings the chance of any two sharing a key is about 3 in a million.
"""

from hashlib import blake2b

MEMO_MAX = 2_000_000


def key_of(text: str) -> int:
    """The signed 64-bit key of a string."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


class KeyMemo(dict[str, int]):
    """`memo[text]` is `key_of(text)`, computed once. Forgets everything when it grows past `MEMO_MAX`."""

    def __missing__(self, text: str) -> int:
        if len(self) >= MEMO_MAX:
            self.clear()
        key = self[text] = key_of(text)
        return key
