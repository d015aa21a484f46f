"""Kafka's hash of a key, so that a bucket of the lake holds the customers of one Kafka partition."""

from functools import lru_cache

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF
MEMO_MAX = 1 << 20


def murmur2(data: bytes) -> int:
    """The unsigned 32-bit murmur2 of `data`, with the seed of Kafka's default partitioner."""
    length = len(data)
    value = _SEED ^ length
    whole = length & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ (word >> 24)) * _MULTIPLIER & _MASK
        value = (value * _MULTIPLIER & _MASK) ^ word
    if whole < length:
        value = (value ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _MASK
    value = (value ^ (value >> 13)) * _MULTIPLIER & _MASK
    return value ^ (value >> 15)


@lru_cache(MEMO_MAX)
def slot_of(key: str, slots: int) -> int:
    """Which of `slots` partitions or buckets `key` belongs to, as `murmur2_random` and the JVM choose it."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % slots
