"""One segment's behaviour, broken on purpose: from a moment on its customers buy other products than they used to.

Most products and not all: where nothing comes true any more, no score says how well it was foretold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from streams.sources.record import Record
from streams.topics import TRANSACTIONS

SEED = 23
SHARE = 0.85


def exchanged(skus: Collection[str], share: float = SHARE, seed: int = SEED) -> dict[str, str]:
    """Another product for a share of them, every one once, the same way every time."""
    ordered = sorted(skus)
    places = np.random.default_rng(seed).permutation(len(ordered))[: round(share * len(ordered))]
    # Around one ring, so that none of those stays what it is.
    return {ordered[a]: ordered[b] for a, b in zip(places, np.roll(places, -1), strict=True)}


def broken(
    records: Iterable[Record], customers: Collection[str], from_second: int, other: dict[str, str]
) -> Iterator[Record]:
    """The records, the receipts of these customers from then on with the other products in them."""
    whose = {customer.encode() for customer in customers}
    for record in records:
        if record.topic is not TRANSACTIONS or record.at_seconds < from_second or record.key not in whose:
            yield record
            continue
        receipt: dict[str, Any] = msgspec.json.decode(record.value or b"")
        for line in receipt["lines"]:
            line["sku"] = other.get(line["sku"], line["sku"])
        yield record._replace(value=msgspec.json.encode(receipt))
