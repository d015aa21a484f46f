"""The engine's own words: shard settings, filters and points of `qdrant_edge`.

Without a write-ahead log: the position is recorded after a flush and everything since is read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as qdrant

from twin_store.products.base import ProductFilter, Vector
from twin_store.products.payload import (
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    VECTOR_NAME,
    Payload,
    Write,
    point_id,
)

# A segment of up to 4 MB (5,000 half-precision vectors of 384) is scanned in a fraction of a millisecond; above
# that a graph is worth building. Widths as measured for 92k products: wider found no better neighbours.
INDEXING_THRESHOLD_KB = 4_000
GRAPH_EDGES = 16
GRAPH_BUILD_WIDTH = 100
SEARCH_WIDTH = 64

POINTS_AT_ONCE = 1_000


def create(path: Path, dimension: int) -> qdrant.EdgeShard:
    """An empty shard in an empty folder, with indexes on the fields that filters read."""
    shard = qdrant.EdgeShard.create(str(path), _config(dimension))
    for name in KEYWORD_FIELDS:
        shard.update(qdrant.UpdateOperation.create_field_index(name, qdrant.PayloadSchemaType.Keyword))
    for name in INTEGER_FIELDS:
        shard.update(qdrant.UpdateOperation.create_field_index(name, qdrant.PayloadSchemaType.Integer))
    return shard


def load(path: Path, dimension: int) -> qdrant.EdgeShard:
    """The shard in this folder; raises the engine's own exception if it cannot be used."""
    return qdrant.EdgeShard.load(str(path), _config(dimension))


def write(shard: qdrant.EdgeShard, writes: Sequence[Write]) -> None:
    """Carry out `writes`."""
    whole = [write for write in writes if not write.keeps_vector]
    if whole:
        points = [qdrant.Point(write.point_id, _named(write.vector), write.payload) for write in whole]
        shard.update(qdrant.UpdateOperation.upsert_points(points))
    for each in writes:
        if each.keeps_vector:
            shard.update(qdrant.UpdateOperation.set_payload([each.point_id], each.changes))


def read(
    shard: qdrant.EdgeShard, ids: Iterable[str], *, with_vector: bool = False
) -> Iterator[tuple[str, Payload, Vector | None]]:
    """Id, payload and, if asked for and there is one, vector of those of these points that exist."""
    wanted: list[Any] = list(ids)
    for start in range(0, len(wanted), POINTS_AT_ONCE):
        part = wanted[start : start + POINTS_AT_ONCE]
        for record in shard.retrieve(part, with_payload=True, with_vector=with_vector):
            vector = record.vector.get(VECTOR_NAME) if isinstance(record.vector, dict) else None
            found = None if vector is None else np.asarray(vector, dtype=np.float32)
            yield str(record.id), record.payload or {}, found


def nearest(
    shard: qdrant.EdgeShard, vector: Vector, k: int, where: ProductFilter
) -> list[tuple[Payload, float]]:
    """Sku, name and cosine of the nearest products, best first."""
    request = qdrant.QueryRequest(
        limit=k,
        query=qdrant.Query.Nearest(vector.tolist(), using=VECTOR_NAME),
        filter=condition(where),
        params=qdrant.SearchParams(hnsw_ef=SEARCH_WIDTH),
        with_payload=["sku", "name"],
    )
    return [(hit.payload or {}, hit.score) for hit in shard.query(request)]


def count(shard: qdrant.EdgeShard) -> int:
    """Points that have a vector."""
    has_vector = qdrant.Filter(must=[qdrant.HasVectorCondition(VECTOR_NAME)])
    return int(shard.count(qdrant.CountRequest(exact=True, filter=has_vector)))


def condition(where: ProductFilter) -> qdrant.Filter | None:
    """The engine's form of a filter, or None if it asks nothing."""
    must: list[Any] = []
    if where.stocked_at is not None:
        must.append(qdrant.FieldCondition(key="stores", match=qdrant.MatchValue(where.stocked_at)))
    if where.section is not None:
        must.append(qdrant.FieldCondition(key="section", match=qdrant.MatchValue(where.section)))
    if where.price_min is not None or where.price_max is not None:
        band = qdrant.RangeFloat(gte=where.price_min, lte=where.price_max)
        must.append(qdrant.FieldCondition(key="price", range=band))
    excluded: set[Any] = {point_id(sku) for sku in where.not_skus}
    if not must and not excluded:
        return None
    return qdrant.Filter(must=must, must_not=[qdrant.HasIdCondition(excluded)] if excluded else None)


def _named(vector: Vector | None) -> dict[str, Any]:
    return {} if vector is None else {VECTOR_NAME: vector.tolist()}


def _config(dimension: int) -> qdrant.EdgeConfig:
    return qdrant.EdgeConfig(
        vectors={
            VECTOR_NAME: qdrant.EdgeVectorParams(
                size=dimension,
                distance=qdrant.Distance.Cosine,
                datatype=qdrant.VectorStorageDatatype.Float16,  # the topic's own precision
            )
        },
        hnsw_config=qdrant.HnswIndexConfig(
            m=GRAPH_EDGES,
            ef_construct=GRAPH_BUILD_WIDTH,
            full_scan_threshold=INDEXING_THRESHOLD_KB,
            max_indexing_threads=1,
        ),
        optimizers=qdrant.EdgeOptimizersConfig(
            indexing_threshold=INDEXING_THRESHOLD_KB, default_segment_number=1
        ),
        max_search_threads=1,  # there is one segment to search; more threads were no quicker
        wal_enabled=False,
    )
