"""How a product lies in Qdrant, and which change wins. Pure, and the same for every implementation.

A point exists for every sku ever named. One with a vector is a product; one without is a tombstone, or the
statistics of a product that the catalogue has not named yet, and no search sees it. The payload is flat, so that
an update writes the few fields that differ: the fields of `CatalogPart` (all None without one), those of
`StatisticsPart` as `_SOLD` names them, and `price` and `stores`, which filters read and which follow from both.
`version` counts the writes of a point, for writers that must not overwrite each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import xxhash

from twin_store.messages import RetrievedProduct
from twin_store.products.base import (
    NEVER,
    CatalogChange,
    CatalogPart,
    Change,
    Product,
    Removal,
    StatisticsChange,
    StatisticsPart,
    Vector,
)

Payload = dict[str, Any]

VECTOR_NAME = "text"
KEYWORD_FIELDS = ("section", "stores")
INTEGER_FIELDS = ("price",)
_LISTED = tuple(field.name for field in fields(CatalogPart))
_SOLD = {"price": "sold_price", "lines": "lines", "deal_share": "deal_share", "stores": "sold_at"}


@dataclass(frozen=True)
class Write:
    """A point as it must become.

    `payload` is all of it. `keeps_vector`: the vector stays as it is and of the payload only `changes` differ, so
    that what a filter reads is indexed anew only where it changed.

    The write rests on what was stored: it may be carried out only where the stored `version` is still
    `payload["version"] - 1`, or, if that is 0, where there is no point yet.
    """

    point_id: str
    payload: Payload
    changes: Payload
    vector: Vector | None
    keeps_vector: bool


@dataclass
class _Pending:
    """A point while the changes of one batch are applied to it."""

    stored: Payload
    payload: Payload
    vector: Vector | None
    keeps_vector: bool
    changed: bool = False

    def write(self, key: str) -> Write:
        payload = self.payload | {"version": self.stored["version"] + 1}
        changes = {name: value for name, value in payload.items() if value != self.stored[name]}
        return Write(key, payload, changes, self.vector, self.keeps_vector)


def point_id(sku: str) -> str:
    """The point's id: a UUID, because Qdrant takes no other strings, and a function of the sku alone."""
    digits = xxhash.xxh3_128_hexdigest(sku.encode())
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def plan(changes: Iterable[Change], stored: Mapping[str, Payload]) -> list[Write]:
    """What to write so that `changes`, in their order, take effect on the `stored` payloads by point id.

    Changes that are not newer than what is stored, or that would change nothing, need no write. At most one
    write a point.
    """
    pending: dict[str, _Pending] = {}
    for change in changes:
        key = point_id(change.sku)
        if key not in pending:
            before = _unknown(change.sku) | stored.get(key, {})
            pending[key] = _Pending(before, before, None, keeps_vector=key in stored)
        _take(pending[key], change)
    return [point.write(key) for key, point in pending.items() if point.changed]


def product_of(payload: Payload) -> Product | None:
    """The product that a payload describes; None for a tombstone or mere statistics."""
    payload = _unknown(payload["sku"]) | payload
    if not _is_listed(payload):
        return None
    stocked_at = payload["stocked_at"]
    catalog = {name: payload[name] for name in _LISTED}
    catalog["stocked_at"] = None if stocked_at is None else tuple(stocked_at)
    statistics = None
    if payload["statistics_revision"] != NEVER:
        statistics = StatisticsPart(
            payload["sold_price"], payload["lines"], payload["deal_share"], tuple(payload["sold_at"])
        )
    return Product(
        sku=payload["sku"],
        revision=payload["revision"],
        catalog=CatalogPart(**catalog),
        price=payload["price"],
        stores=tuple(payload["stores"]),
        statistics_revision=payload["statistics_revision"],
        statistics=statistics,
    )


def ranked(hits: Iterable[tuple[Payload, float]]) -> list[RetrievedProduct]:
    """What a search returns, from the payloads (sku and name) and cosines that the engine returned."""
    products = (
        RetrievedProduct(sku=payload["sku"], name=payload["name"], similarity=cosine)
        for payload, cosine in hits
    )
    return sorted(products, key=lambda product: (-product.similarity, product.sku))


def _take(point: _Pending, change: Change) -> None:
    """Let one change take effect on a point, unless it is stale or already there."""
    before = point.payload
    match change:
        case StatisticsChange(revision=revision, statistics=statistics):
            if revision <= before["statistics_revision"]:
                return
            news: Payload = {"statistics_revision": revision}
            news |= {_SOLD[name]: _plain(value) for name, value in vars(statistics).items()}
        case CatalogChange(revision=revision, catalog=catalog, vector=vector):
            news = {"revision": revision} | {name: _plain(value) for name, value in vars(catalog).items()}
            if not _stands(revision, before) or news.items() <= before.items():
                return
            if before["text_hash"] != catalog.text_hash:
                point.vector, point.keeps_vector = vector, False
        case Removal(revision=revision):
            if not _stands(revision, before):
                return
            news = {"revision": revision} | dict.fromkeys(_LISTED)
            point.vector, point.keeps_vector = None, False
    point.payload = before | news
    point.payload |= _filter_fields(point.payload)
    point.changed = True


def _stands(revision: int, payload: Payload) -> bool:
    """Whether an item or a removal of this revision stands. At the revision of a removal, the removal does."""
    return bool(revision >= payload["revision"] if _is_listed(payload) else revision > payload["revision"])


def _is_listed(payload: Payload) -> bool:
    """Whether the catalogue has the product, as far as the index knows."""
    return payload["text_hash"] is not None


def _unknown(sku: str) -> Payload:
    """A point before its first change. Qdrant drops a field that is set to null, so these stand in for it too."""
    return {
        "sku": sku,
        "version": 0,
        "revision": NEVER,
        "statistics_revision": NEVER,
        **dict.fromkeys(_LISTED),
        **dict.fromkeys(_SOLD.values()),
        "price": None,
        "stores": [],
    }


def _filter_fields(payload: Payload) -> Payload:
    """The fields that filters read and that follow from both halves."""
    stores = payload["sold_at"] if payload["stocked_at"] is None else payload["stocked_at"]
    price = payload["list_price"] if payload["sold_price"] is None else payload["sold_price"]
    return {"price": price, "stores": stores or []}


def _plain(value: object) -> object:
    """A field as JSON holds it."""
    return list(value) if isinstance(value, tuple) else value
