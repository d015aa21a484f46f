"""What the retailer says of each product, by 64-bit key, in arrays that compiled evidence reads.

Sections, types and brands are the keys of their names (`twin_store.symbols`), 0 where unknown: two processes
agree on them without sharing a dictionary. A type's key covers its section, because "WHOLE" is a milk and a
chicken.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

import numpy as np
import polars as pl

from twin_store.key_index import ABSENT, KeyIndex, find_all
from twin_store.messages.codec import minor_digits, to_minor
from twin_store.messages.events import CatalogItem
from twin_store.symbols import key_of

# sku, name, section, item type, brand, private label, list price
_Row = tuple[str, str, str | None, str | None, str | None, bool | None, str | None]

UNKNOWN = 0
PRIVATE_UNKNOWN = -1


class CatalogueTables(NamedTuple):
    """The catalogue for compiled code. `keys` and `rows` are for `key_index.find`; the rest is by row.

    Attributes:
        section, item_type, brand: keys, UNKNOWN where not given.
        private: 1 own brand, 0 not, PRIVATE_UNKNOWN.
        list_price: minor units, NaN where not given.
    """

    keys: np.ndarray
    rows: np.ndarray
    section: np.ndarray
    item_type: np.ndarray
    brand: np.ndarray
    private: np.ndarray
    list_price: np.ndarray


class Catalogue:
    """All products known. A sku that was deleted keeps its row and becomes unknown."""

    def __init__(self, currency: str = "USD") -> None:
        self._digits = minor_digits(currency)
        self._index = KeyIndex()
        self._names: list[str] = []
        self._texts: dict[int, str] = {}
        self._codes = np.zeros((3, 16), dtype=np.int64)
        self._private = np.full(16, PRIVATE_UNKNOWN, dtype=np.int64)
        self._list_price = np.full(16, np.nan)

    @classmethod
    def from_frame(cls, frame: pl.DataFrame, currency: str = "USD") -> Self:
        """From rows with the fields of `CatalogItem`; columns that are missing are taken as null.

        Of several rows of one sku the last stands.
        """
        catalogue = cls(currency)
        wanted = ("sku", "name", "section", "item_type", "brand", "private_label", "list_price")
        columns = [
            frame[name].to_list() if name in frame.columns else [None] * frame.height for name in wanted
        ]
        catalogue._put_rows(list(zip(*columns, strict=True)))
        return catalogue

    def put(self, items: Iterable[CatalogItem]) -> None:
        """Take these items as they stand now."""
        self._put_rows(
            [(i.sku, i.name, i.section, i.item_type, i.brand, i.private_label, i.list_price) for i in items]
        )

    def delete(self, sku: str) -> None:
        """Forget what is known of a sku; nothing happens if it is not there."""
        row = self._index.row(key_of(sku))
        if row != ABSENT:
            self._codes[:, row] = UNKNOWN
            self._private[row] = PRIVATE_UNKNOWN
            self._list_price[row] = np.nan
            self._names[row] = ""

    def update(self, changes: Mapping[str, CatalogItem | None]) -> None:
        """Take what is said of these skus as it stands now; None deletes one."""
        self.put(item for item in changes.values() if item is not None)
        for sku, item in changes.items():
            if item is None:
                self.delete(sku)

    def __len__(self) -> int:
        return len(self._index)

    def keys(self) -> np.ndarray:
        """The sku keys by row: int64 [n]."""
        return self._index.in_order()

    def tables(self) -> CatalogueTables:
        """The arrays for compiled code, valid until the next `put`."""
        return CatalogueTables(
            self._index.keys,
            self._index.rows,
            self._codes[0],
            self._codes[1],
            self._codes[2],
            self._private,
            self._list_price,
        )

    def rows_of(self, keys: np.ndarray) -> np.ndarray:
        """Row of each sku key, ABSENT where unknown: int64 [n]."""
        return find_all(self._index.keys, self._index.rows, keys)

    def name_of(self, key: int) -> str | None:
        """The name of the sku with this key, None when it is unknown or was deleted."""
        row = self._index.row(key)
        return self._names[row] or None if row != ABSENT else None

    def text_of(self, code: int) -> str | None:
        """The name behind the key of a section, type or brand."""
        return self._texts.get(code)

    def _put_rows(self, rows: list[_Row]) -> None:
        keys = np.array([key_of(row[0]) for row in rows], dtype=np.int64)
        before = len(self._index)
        numbers = self._index.add(keys)
        self._reserve(len(self._index))
        self._names.extend("" for _ in range(len(self._index) - before))
        codes: dict[tuple[str | None, str | None, str | None], tuple[int, int, int]] = {}
        for number, (_, name, section, item_type, brand, private, list_price) in zip(
            numbers.tolist(), rows, strict=True
        ):
            self._names[number] = name
            group = (section, item_type, brand)
            if group not in codes:
                codes[group] = self._code_group(*group)
            self._codes[:, number] = codes[group]
            self._private[number] = PRIVATE_UNKNOWN if private is None else int(private)
            self._list_price[number] = np.nan if list_price is None else to_minor(list_price, self._digits)

    def _code_group(
        self, section: str | None, item_type: str | None, brand: str | None
    ) -> tuple[int, int, int]:
        type_text = None if item_type is None else f"{section or ''} / {item_type}"
        given = (section, type_text, brand)
        codes = [UNKNOWN if text is None else key_of(text) for text in given]
        self._texts.update({code: text for code, text in zip(codes, given, strict=True) if text is not None})
        return codes[0], codes[1], codes[2]

    def _reserve(self, count: int) -> None:
        capacity = len(self._private)
        while capacity < count:
            capacity *= 2
        extra = capacity - len(self._private)
        if extra:
            self._codes = np.concatenate((self._codes, np.zeros((3, extra), dtype=np.int64)), axis=1)
            self._private = np.concatenate((self._private, np.full(extra, PRIVATE_UNKNOWN, dtype=np.int64)))
            self._list_price = np.concatenate((self._list_price, np.full(extra, np.nan)))
