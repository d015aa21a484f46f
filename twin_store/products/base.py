"""What a product index holds and does. Two implementations: `edge` (in this process) and `server`.

A product has two halves that arrive on their own, in any order: what the catalogue says (with its vector) and
what the receipts say (statistics). Each half has a revision, and a change that is not newer than what the index
holds of that half is dropped. A removed product leaves a tombstone with its revision, so that a late catalogue
message does not bring it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twin_store.messages import RetrievedProduct

Vector = NDArray[np.float32]
NEVER = -1
"""Revision of a half that has not been seen."""


class ProductIndexError(Exception):
    """The index could not do what was asked; the message says what to do."""


@dataclass(frozen=True)
class CatalogPart:
    """What the catalogue says of a product. Money in minor units; `stocked_at` None: it does not say."""

    name: str
    text_hash: str
    section: str | None = None
    item_type: str | None = None
    brand: str | None = None
    list_price: int | None = None
    stocked_at: tuple[str, ...] | None = None


@dataclass(frozen=True)
class StatisticsPart:
    """What the receipts say of a product. `price` is the median paid, in minor units; `stores` have sold it."""

    price: int | None
    lines: int
    deal_share: float
    stores: tuple[str, ...]


@dataclass(frozen=True)
class CatalogChange:
    """A product's new text half. `revision` is the catalogue's `updated_at` in ms; `vector` has unit length."""

    sku: str
    revision: int
    vector: Vector
    catalog: CatalogPart


@dataclass(frozen=True)
class StatisticsChange:
    """A product's new statistics half, kept also for a sku that the catalogue has not named yet."""

    sku: str
    revision: int
    statistics: StatisticsPart


@dataclass(frozen=True)
class Removal:
    """The catalogue no longer has this product: everything up to `revision` is taken out."""

    sku: str
    revision: int


Change = CatalogChange | StatisticsChange | Removal


@dataclass(frozen=True)
class ProductFilter:
    """What a retrieved product must satisfy; absent fields ask nothing.

    A product is stocked at a store if the catalogue lists the store, or, where the catalogue does not say, if
    the store has sold it. Its price is the median paid, or the list price before the first sale; a product
    without either is in no price band. Bounds are minor units, inclusive.
    """

    stocked_at: str | None = None
    section: str | None = None
    price_min: int | None = None
    price_max: int | None = None
    not_skus: frozenset[str] = frozenset()

    def without(self, skus: Iterable[str]) -> ProductFilter:
        """The same filter, these skus excluded as well."""
        return ProductFilter(
            self.stocked_at, self.section, self.price_min, self.price_max, self.not_skus.union(skus)
        )


ANYTHING = ProductFilter()


@dataclass(frozen=True)
class Product:
    """A product as the index holds it. `price` and `stores` are what filters see (see `ProductFilter`)."""

    sku: str
    revision: int
    catalog: CatalogPart
    price: int | None
    stores: tuple[str, ...]
    statistics_revision: int = NEVER
    statistics: StatisticsPart | None = None


class ProductIndex(Protocol):
    """Vectors and payload of all products, safe to use from several threads.

    Every method may raise `ProductIndexError`.

    Attributes:
        position: what `checkpoint` recorded last; empty if nothing is recorded, or never is.
    """

    @property
    def position(self) -> Mapping[str, int]: ...

    def apply(self, changes: Sequence[Change]) -> int:
        """Apply changes in order; returns how many products changed. Applying one again changes nothing."""

    def search(self, vector: Vector, k: int, where: ProductFilter = ANYTHING) -> list[RetrievedProduct]:
        """The k products nearest to `vector` by cosine, best first; fewer if fewer satisfy `where`.

        Equally near ones come in the order of their skus; which of them come, where k cuts, is left open.
        """

    def get(self, sku: str) -> Product | None:
        """One product, or None if the catalogue does not have it."""

    def vectors(self, skus: Sequence[str]) -> dict[str, Vector]:
        """The vectors of those of these products that the index has."""

    def count(self) -> int:
        """Products that can be retrieved."""

    def checkpoint(self, position: Mapping[str, int]) -> None:
        """Make everything applied durable, and record the caller's `position` if this index keeps it."""

    def discard(self) -> None:
        """Empty the index and forget its position."""

    def maintain(self) -> None:
        """Housekeeping between batches; returns at once."""

    def close(self) -> None:
        """Make everything durable and release it; the index cannot be used afterwards."""
