"""What goes with what, what is bought again, when and where: fitted tables that a model version brings along.

Fitted on the receipts before a version's date (`trainer.fit_affinity`), read by compiled evidence, never
changed. Skus and types are the 64-bit keys of the catalogue.
"""

import io
import zipfile
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from twin_store.key_index import KeyIndex

REBUY_RATE, REBUY_DAYS, BUYERS, BASKETS, RARITY, LINES, TRIAL, OF_PARENT = range(8)
FACTS = 8
ALL_BASKETS, ALL_CUSTOMERS = range(2)
TASTE_DIMENSIONS = 48
HOURS = 12  # parts of a day, two hours each
EVERYTHING = 0  # in place of a product's or a store's key


class AffinityTables(NamedTuple):
    """One level (skus or types) for compiled code. Row i's neighbours are `neighbours[starts[i]:starts[i + 1]]`.

    Attributes:
        keys, rows: for `key_index.find`.
        names: [n] the 64-bit key of each row.
        starts: [n + 1].
        neighbours: row numbers, ascending within a row, never the row itself.
        together: baskets that held both.
        facts: [n, FACTS]: share of purchases that were bought again by the same customer within the fitted
            horizon, median days until then, customers who bought it, baskets that held it, how much
            having bought it says about a taste, the mean log of the lines of those baskets, the share of its
            latest purchases that were a customer's first, and its share of what its type (its section) sold of late.
        vectors: [n, TASTE_DIMENSIONS] where it lies in the space of tastes: customers' purchases, reduced.
        hours, weekdays: [n, HOURS] and [n, 7] log of how much oftener than anything else it is bought then.
        totals: [2] all baskets, all customers.
    """

    keys: np.ndarray
    rows: np.ndarray
    names: np.ndarray
    starts: np.ndarray
    neighbours: np.ndarray
    together: np.ndarray
    facts: np.ndarray
    vectors: np.ndarray
    hours: np.ndarray
    weekdays: np.ndarray
    totals: np.ndarray


class StoreTables(NamedTuple):
    """Lines sold by store for compiled code, `market.listing_key`s of product or type and store, ascending.

    `EVERYTHING` stands for all products or all stores, so that sums are found in the same way.
    """

    pairs: np.ndarray
    lines: np.ndarray


@dataclass(frozen=True)
class AffinityLevel:
    """The fitted arrays of one level, as `AffinityTables` has them."""

    names: np.ndarray
    starts: np.ndarray
    neighbours: np.ndarray
    together: np.ndarray
    facts: np.ndarray
    vectors: np.ndarray
    hours: np.ndarray
    weekdays: np.ndarray
    totals: np.ndarray

    @classmethod
    def empty(cls) -> Self:
        """Knows nothing: evidence that needs it is missing."""
        none = np.zeros(0, dtype=np.int64)
        one = np.zeros(1, dtype=np.int64)
        totals = np.zeros(2, dtype=np.int64)
        vectors, hours, weekdays = (np.zeros((0, columns)) for columns in (TASTE_DIMENSIONS, HOURS, 7))
        return cls(none, one, none, none, np.zeros((0, FACTS)), vectors, hours, weekdays, totals)

    def tables(self) -> AffinityTables:
        """For compiled code."""
        index = KeyIndex()
        index.add(self.names)
        return AffinityTables(index.keys, index.rows, *(getattr(self, name) for name in _ARRAYS))


_ARRAYS = tuple(AffinityLevel.__dataclass_fields__)


class Affinity:
    """Both levels, ready to read, and how often vouchers are redeemed.

    `campaign_rates`: by campaign type, the redeemed share of its past offers.
    """

    def __init__(
        self,
        skus: AffinityLevel,
        types: AffinityLevel,
        campaign_rates: dict[str, float] | None = None,
        stores: StoreTables | None = None,
    ) -> None:
        self._levels = {"skus": skus, "types": types}
        self.skus = skus.tables()
        self.types = types.tables()
        self.campaign_rates = campaign_rates or {}
        none = np.zeros(0, dtype=np.int64)
        self.stores = stores or StoreTables(none, none)

    @classmethod
    def empty(cls) -> Self:
        """For a decider that was fitted without."""
        return cls(AffinityLevel.empty(), AffinityLevel.empty())

    def to_bytes(self) -> bytes:
        """As a NumPy archive of plain arrays."""
        arrays = {
            f"{level}_{name}": getattr(tables, name)
            for level, tables in self._levels.items()
            for name in _ARRAYS
        }
        arrays["campaign_types"] = np.array(list(self.campaign_rates), dtype=np.str_)
        arrays["campaign_rates"] = np.array(list(self.campaign_rates.values()), dtype=np.float64)
        arrays |= {f"stores_{name}": array for name, array in self.stores._asdict().items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Inverse of `to_bytes`.

        Raises:
            ValueError: if it is no such archive.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                skus, types = (
                    AffinityLevel(**{name: archive[f"{level}_{name}"] for name in _ARRAYS})
                    for level in ("skus", "types")
                )
                stores = StoreTables(*(archive[f"stores_{name}"] for name in StoreTables._fields))
                rates = dict(
                    zip(archive["campaign_types"].tolist(), archive["campaign_rates"].tolist(), strict=True)
                )
        except (KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"not an affinity archive: {error}") from None
        return cls(skus, types, rates, stores)
