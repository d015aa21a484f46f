"""How a product lies in Qdrant, and which change wins. Pure, and the same for every implementation.

A point exists for every sku ever named. One with a vector is a product; one without is a tombstone, or the
statistics of a product that the catalogue has not named yet, and no search sees it. `section`, `price` and
`stores` stand at the top of the payload because filters read them; the two halves lie below, whole. `version`
counts the writes of a point, for writers that must not overwrite each other.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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
_NAMESPACE = uuid.UUID("5f1e3c1a-6a0b-5b7e-9c55-6f3f5d0c7a11")


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
    return str(uuid.uuid5(_NAMESPACE, sku))


def plan(changes: Iterable[Change], stored: Mapping[str, Payload]) -> list[Write]:
    """What to write so that `changes`, in their order, take effect on the `stored` payloads by point id.

    Changes that are not newer than what is stored, or that would change nothing, need no write. At most one
    write a point.
    """
    pending: dict[str, _Pending] = {}
    for change in changes:
        key = point_id(change.sku)
        if key not in pending:
            before = stored.get(key) or _unknown(change.sku)
            pending[key] = _Pending(before, before, None, keeps_vector=key in stored)
        _take(pending[key], change)
    return [point.write(key) for key, point in pending.items() if point.changed]


def product_of(payload: Payload) -> Product | None:
    """The product that a payload describes; None for a tombstone or mere statistics."""
    if payload["catalog"] is None:
        return None
    statistics = payload["statistics"]
    return Product(
        sku=payload["sku"],
        revision=payload["revision"],
        catalog=CatalogPart(**_tupled(payload["catalog"], "stocked_at")),
        price=payload["price"],
        stores=tuple(payload["stores"]),
        statistics_revision=payload["statistics_revision"],
        statistics=StatisticsPart(**_tupled(statistics, "stores")) if statistics else None,
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
    match change:
        case StatisticsChange(revision=revision, statistics=statistics):
            if revision <= point.payload["statistics_revision"]:
                return
            fields: Payload = {"statistics_revision": revision, "statistics": _plain(statistics)}
        case CatalogChange(revision=revision, catalog=catalog, vector=vector):
            fields = {"revision": revision, "catalog": _plain(catalog), "name": catalog.name}
            if not _is_news(point.payload, revision) or fields.items() <= point.payload.items():
                return
            if not _has_text(point.payload, catalog.text_hash):
                point.vector, point.keeps_vector = vector, False
        case Removal(revision=revision):
            if point.payload["catalog"] is None and revision <= point.payload["revision"]:
                return
            if revision < point.payload["revision"]:
                return
            fields = {"revision": revision, "catalog": None, "name": None}
            point.vector, point.keeps_vector = None, False
    point.payload = _with_filter_fields(point.payload | fields)
    point.changed = True


def _is_news(payload: Payload, revision: int) -> bool:
    """Whether a catalogue message of this revision stands. At the revision of a removal, the removal stands."""
    if payload["catalog"] is None:
        return bool(revision > payload["revision"])
    return bool(revision >= payload["revision"])


def _has_text(payload: Payload, text_hash: str) -> bool:
    return payload["catalog"] is not None and payload["catalog"]["text_hash"] == text_hash


def _unknown(sku: str) -> Payload:
    """A point before its first change."""
    return {
        "sku": sku,
        "version": 0,
        "revision": NEVER,
        "statistics_revision": NEVER,
        "name": None,
        "section": None,
        "price": None,
        "stores": [],
        "catalog": None,
        "statistics": None,
    }


def _with_filter_fields(payload: Payload) -> Payload:
    """The payload with the fields that filters read, derived from its two halves."""
    catalog: Payload = payload["catalog"] or {}
    statistics: Payload = payload["statistics"] or {}
    paid, listed = statistics.get("price"), catalog.get("list_price")
    stocked, sold = catalog.get("stocked_at"), statistics.get("stores", [])
    return payload | {
        "section": catalog.get("section"),
        "price": listed if paid is None else paid,
        "stores": sold if stocked is None else stocked,
    }


def _plain(part: CatalogPart | StatisticsPart) -> Payload:
    """A half as JSON holds it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(part).items()}


def _tupled(fields: Payload, name: str) -> Payload:
    value = fields[name]
    return fields | {name: None if value is None else tuple(value)}
