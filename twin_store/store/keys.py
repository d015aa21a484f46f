"""The keys of a partition's records: what kind each is, and whose."""

SLOTS = 24  # a twin is written whole every SLOTS-th time, and as deltas in between
TWIN, SYMBOLS, GRAVE, LINK, NAMES, PRODUCTS = b"t", b"s", b"g", b"l", b"n", b"p"


def twin_key(customer_id: str, sequence: int) -> bytes:
    """Where the twin's `sequence`-th write goes: slot 0 holds whole twins, the others deltas."""
    return TWIN + customer_id.encode() + b"\x00" + bytes([sequence % SLOTS])


def customer_of(key: bytes) -> str:
    """The customer of a twin key."""
    return key[1:-2].decode()


def symbols_key(block: int) -> bytes:
    """The `block`-th block of symbols."""
    return SYMBOLS + block.to_bytes(4, "big")


def grave_key(customer_id: str) -> bytes:
    """Until when a customer was erased."""
    return GRAVE + customer_id.encode()


def link_key(anonymous_id: str) -> bytes:
    """Which customer an anonymous id became."""
    return LINK + anonymous_id.encode()


def names_key(customer_id: str) -> bytes:
    """Which ids a customer has claimed."""
    return NAMES + customer_id.encode()


def products_key(shard: int) -> bytes:
    """A shard of product statistics."""
    return PRODUCTS + shard.to_bytes(2, "big")
