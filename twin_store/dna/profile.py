"""A twin as its published profile: the Shopping-DNA with names (LBM, section 3.2)."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from twin_store.dna.layout import H_EVENTS
from twin_store.dna.preference_text import GroupNames
from twin_store.dna.preferences import LEVELS, USUALS, Products, products_table
from twin_store.dna.profile_text import ROOM, write_dna
from twin_store.dna.reading import regular_items, visits_by_key
from twin_store.dna.twin import Twin
from twin_store.key_index import KeyIndex
from twin_store.messages.codec import SECONDS_PER_DAY, instant_of, minor_digits
from twin_store.messages.decisions import SourceOffset
from twin_store.messages.profiles import Profile, ShoppingDna
from twin_store.messages.wire import struct_for
from twin_store.symbols import visit_parts

STORES_MAX = 5
LIFE_STAGE_KEYS = ("life_stage", "household_comp", "age")

NO_OFFSETS = msgspec.Raw(b"[]")
_Profile, _Offset = struct_for(Profile), struct_for(SourceOffset)
_read_dna = msgspec.json.Decoder(struct_for(ShoppingDna)).decode


class ProductNames:
    """What the numbers of a profile are called: names of section, type and brand codes, and the tables to read by."""

    def __init__(self, products: Products, sections: list[str], types: list[str], brands: list[str]) -> None:
        self.products = products
        self.sections = sections
        self.types = types
        self.brands = brands
        self.groups = GroupNames.of([sections, types, brands])

    @classmethod
    def none(cls) -> "ProductNames":
        """For a reader that knows nothing of the products."""
        index = KeyIndex()
        groups, usual = np.zeros((0, LEVELS), dtype=np.int64), np.zeros((0, USUALS))
        return cls(products_table(index, groups, usual, np.zeros(LEVELS, dtype=np.int64)), [], [], [])


class ProfileWriter:
    """Renders twins as profile messages in one currency."""

    def __init__(self, currency: str) -> None:
        self._digits = minor_digits(currency)
        self._encode = msgspec.json.Encoder().encode

    def write(
        self,
        customer_id: str,
        twin: Twin,
        names: ProductNames,
        symbols: Mapping[int, str],
        offsets: msgspec.Raw = NO_OFFSETS,
    ) -> tuple[str, bytes]:
        """The profile's content hash and JSON bytes; `offsets` come from `source_offsets`."""
        about = msgspec.json.decode(twin.about) if twin.about else {}
        content_hash = twin.content_hash()
        profile = _Profile(
            customer_id=customer_id,
            as_of=instant_of(twin.last_second or twin.about_second),
            content_hash=content_hash,
            events_folded=int(twin.head[H_EVENTS]),
            personalisation_consent=about.get("personalisation_consent", True),
            offsets=offsets,
            dna=msgspec.Raw(self._dna(twin, names, symbols, about.get("demographics", {}))),
        )
        return content_hash, self._encode(profile)

    def dna(self, twin: Twin, names: ProductNames, symbols: Mapping[int, str]) -> Any:
        """The profile's `dna` alone, as a struct with the fields of `ShoppingDna`."""
        about = msgspec.json.decode(twin.about) if twin.about else {}
        return _read_dna(self._dna(twin, names, symbols, about.get("demographics", {})))

    def _dna(
        self, twin: Twin, names: ProductNames, symbols: Mapping[int, str], demographics: dict[str, str]
    ) -> bytes:
        as_of_day = twin.last_second // SECONDS_PER_DAY
        regulars = regular_items(twin.cells, as_of_day)
        skus = self._encode([symbols[key] for key in regulars[:, 0].tolist()])
        channels, stores = visited(twin.visits, as_of_day, symbols)
        life_stage = next((demographics[k] for k in LIFE_STAGE_KEYS if k in demographics), None)
        rest = self._encode(
            {"channels": channels, "stores": stores, "life_stage": life_stage, "demographics": demographics}
        )
        out = np.empty(ROOM + names.groups.room + len(skus) + len(rest), dtype=np.uint8)
        size = write_dna(
            out, self._digits, twin.head, twin.cells, twin.visits, twin.last_second, *names.products,
            names.groups.texts, names.groups.starts, names.groups.first,
            regulars, np.frombuffer(skus, dtype=np.uint8), np.frombuffer(rest, dtype=np.uint8),
        )  # fmt: skip
        return out[:size].tobytes()


def visited(
    visits: np.ndarray, as_of_day: int, symbols: Mapping[int, str]
) -> tuple[dict[str, int], dict[str, int]]:
    """Receipts of the window by channel, and by store, the `STORES_MAX` with the most."""
    channels: dict[str, int] = {}
    stores: dict[str, int] = {}
    keys, receipts, _ = visits_by_key(visits, as_of_day)
    for key, count in zip(keys.tolist(), receipts.tolist(), strict=True):
        channel, store = visit_parts(symbols[key])
        channels[channel] = channels.get(channel, 0) + count
        if store:
            stores[store] = stores.get(store, 0) + count
    most = sorted(stores.items(), key=lambda item: (-item[1], item[0]))[:STORES_MAX]
    return channels, dict(most)


def source_offsets(positions: Mapping[tuple[str, int], int]) -> msgspec.Raw:
    """The `offsets` of profiles as JSON, from {(topic, partition): next offset}."""
    offsets = [_Offset(topic=t, partition=p, offset=o) for (t, p), o in sorted(positions.items())]
    return msgspec.Raw(msgspec.json.encode(offsets))
