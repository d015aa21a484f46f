"""The index on a Qdrant server, for deployments of more than one machine.

Several writers may meet on one point (a member of the indexer's group that has lost its partitions and does not
know it yet), so every write is a compare-and-set: it is planned on what was read, and the server carries it out
only where the point is still at that version. A write that lost a race is seen in the next read and planned again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby

import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException

from twin_store.messages import RetrievedProduct
from twin_store.products.base import ANYTHING, Change, Product, ProductFilter, ProductIndexError, Vector
from twin_store.products.payload import (
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    VECTOR_NAME,
    Payload,
    Write,
    plan,
    point_id,
    product_of,
    ranked,
)

CHANGES_AT_ONCE = 256
ATTEMPTS_MAX = 10
SEARCH_WIDTH = 64
TIMEOUT_S = 30
OLDEST_SERVER = (
    1,
    16,
)  # the first that knows `update_filter`; an older one would ignore it and go back in time


class ServerIndex:
    """A `ProductIndex` in one collection of a Qdrant server, or of the client's local mode."""

    def __init__(
        self, client: QdrantClient, collection: str, dimension: int | None = None, *, local_mode: bool = False
    ) -> None:
        """Use `collection`. A writer names the vectors' `dimension` and the collection is created if missing.

        The client's local mode has no indexes of its own, and warns where a request speaks of them. Raises
        `ProductIndexError` if the collection holds vectors of another length.
        """
        self._client = client
        self._collection = collection
        self._dimension = dimension
        self._local_mode = local_mode
        with self._talking():
            if dimension is not None:
                self._require_collection(dimension)

    @classmethod
    def connect(
        cls, url: str, api_key: str | None, collection: str, dimension: int | None = None
    ) -> ServerIndex:
        """Use the server at `url`. Raises `ProductIndexError` if it does not answer or is too old."""
        client = QdrantClient(url=url, api_key=api_key, timeout=TIMEOUT_S, check_compatibility=False)
        with _talking_to(url):
            version = client.info().version
        known = tuple(int(part) for part in version.split(".")[:2])
        if known < OLDEST_SERVER:
            raise ProductIndexError(
                f"Qdrant at {url} is version {version}; conditional updates need "
                f"{'.'.join(map(str, OLDEST_SERVER))} or newer: upgrade it"
            )
        return cls(client, collection, dimension)

    def apply(self, changes: Sequence[Change]) -> int:
        """See `ProductIndex.apply`. Raises `ProductIndexError` if it loses every race for a product."""
        changed = 0
        for start in range(0, len(changes), CHANGES_AT_ONCE):
            part = changes[start : start + CHANGES_AT_ONCE]
            with self._talking():
                changed += self._apply(part)
        return changed

    def search(self, vector: Vector, k: int, where: ProductFilter = ANYTHING) -> list[RetrievedProduct]:
        """See `ProductIndex.search`."""
        with self._talking():
            found = self._client.query_points(
                self._collection,
                query=vector.tolist(),
                using=VECTOR_NAME,
                limit=k,
                query_filter=condition(where),
                search_params=None if self._local_mode else models.SearchParams(hnsw_ef=SEARCH_WIDTH),
                with_payload=["sku", "name"],
            )
        return ranked((point.payload or {}, point.score) for point in found.points)

    def get(self, sku: str) -> Product | None:
        """See `ProductIndex.get`."""
        with self._talking():
            payload = self._payloads([sku]).get(point_id(sku))
        return product_of(payload) if payload else None

    def vectors(self, skus: Sequence[str]) -> dict[str, Vector]:
        """See `ProductIndex.vectors`."""
        with self._talking():
            records = self._client.retrieve(
                self._collection, [point_id(sku) for sku in skus], with_payload=["sku"], with_vectors=True
            )
        return {
            record.payload["sku"]: np.asarray(record.vector[VECTOR_NAME], dtype=np.float32)
            for record in records
            if record.payload and isinstance(record.vector, dict) and VECTOR_NAME in record.vector
        }

    def count(self) -> int:
        """See `ProductIndex.count`."""
        has_vector = models.Filter(must=[models.HasVectorCondition(has_vector=VECTOR_NAME)])
        with self._talking():
            return self._client.count(self._collection, count_filter=has_vector, exact=True).count

    @property
    def position(self) -> Mapping[str, int]:
        """Nothing: many may write, and whoever does reads from the beginning. What is there already is a read."""
        return {}

    def checkpoint(self, position: Mapping[str, int]) -> None:
        """Nothing to do: what the server has taken is durable."""

    def discard(self) -> None:
        """Delete the collection with everything in it; a writer creates it anew."""
        with self._talking():
            self._client.delete_collection(self._collection)
            if self._dimension is not None:
                self._require_collection(self._dimension)

    def maintain(self) -> None:
        """Nothing to do: the server keeps house by itself."""

    def close(self) -> None:
        """See `ProductIndex.close`."""
        self._client.close()

    def _apply(self, changes: Sequence[Change]) -> int:
        skus = [change.sku for change in changes]
        changed: set[str] = set()
        for _ in range(ATTEMPTS_MAX):
            writes = plan(changes, self._payloads(skus))
            if not writes:
                return len(changed)
            changed.update(write.point_id for write in writes)
            self._client.batch_update_points(self._collection, list(_operations(writes)), wait=True)
        raise ProductIndexError(
            f"{self._collection}: {len(changed)} products are written by others at the same time; "
            "is more than one indexer running outside its consumer group?"
        )

    def _payloads(self, skus: Sequence[str]) -> dict[str, Payload]:
        ids = list({point_id(sku) for sku in skus})
        records = self._client.retrieve(self._collection, ids, with_payload=True)
        return {str(record.id): record.payload for record in records if record.payload}

    def _require_collection(self, dimension: int) -> None:
        if not self._client.collection_exists(self._collection):
            self._client.create_collection(
                self._collection,
                vectors_config={
                    VECTOR_NAME: models.VectorParams(
                        size=dimension, distance=models.Distance.COSINE, datatype=models.Datatype.FLOAT16
                    )
                },
                hnsw_config=models.HnswConfigDiff(m=16, ef_construct=100),
            )
            if not self._local_mode:
                self._create_payload_indexes()
        vectors = self._client.get_collection(self._collection).config.params.vectors
        held = vectors[VECTOR_NAME].size if isinstance(vectors, dict) and VECTOR_NAME in vectors else None
        if held != dimension:
            raise ProductIndexError(
                f"collection {self._collection} holds vectors of length {held}, the embedding model gives "
                f"{dimension}; rebuild it with `twins products rebuild`"
            )

    def _create_payload_indexes(self) -> None:
        for name in KEYWORD_FIELDS:
            self._client.create_payload_index(self._collection, name, models.PayloadSchemaType.KEYWORD)
        for name in INTEGER_FIELDS:
            self._client.create_payload_index(self._collection, name, models.PayloadSchemaType.INTEGER)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        with _talking_to(f"collection {self._collection}"):
            yield


@contextmanager
def _talking_to(place: str) -> Iterator[None]:
    """The client's errors as ours."""
    try:
        yield
    except (ApiException, ValueError) as error:
        raise ProductIndexError(
            f"Qdrant, {place}: {error}; is the server up, and TWINS_QDRANT_URL right?"
        ) from error


def condition(where: ProductFilter) -> models.Filter | None:
    """The client's form of a filter, or None if it asks nothing."""
    must: list[models.Condition] = []
    if where.stocked_at is not None:
        must.append(models.FieldCondition(key="stores", match=models.MatchValue(value=where.stocked_at)))
    if where.section is not None:
        must.append(models.FieldCondition(key="section", match=models.MatchValue(value=where.section)))
    if where.price_min is not None or where.price_max is not None:
        band = models.Range(gte=where.price_min, lte=where.price_max)
        must.append(models.FieldCondition(key="price", range=band))
    excluded: list[models.ExtendedPointId] = [point_id(sku) for sku in where.not_skus]
    if not must and not excluded:
        return None
    must_not: list[models.Condition] | None = [models.HasIdCondition(has_id=excluded)] if excluded else None
    return models.Filter(must=must or None, must_not=must_not)


def _operations(writes: Sequence[Write]) -> Iterator[models.UpdateOperation]:
    """One upsert for all points that are at the same version, one payload write a point whose vector stays."""
    whole = sorted((write for write in writes if not write.keeps_vector), key=_version)
    for version, group in groupby(whole, key=_version):
        points = [
            models.PointStruct(
                id=write.point_id,
                vector={} if write.vector is None else {VECTOR_NAME: write.vector.tolist()},
                payload=write.payload,
            )
            for write in group
        ]
        upsert = models.PointsList(points=points, update_filter=models.Filter(must=[_still_at(version)]))
        yield models.UpsertOperation(upsert=upsert)
    for write in writes:
        if write.keeps_vector:
            this = models.HasIdCondition(has_id=[write.point_id])
            where = models.Filter(must=[this, _still_at(_version(write))])
            yield models.SetPayloadOperation(
                set_payload=models.SetPayload(payload=write.changes, filter=where)
            )


def _version(write: Write) -> int:
    """The version that the stored point must still be at."""
    return int(write.payload["version"]) - 1


def _still_at(version: int) -> models.Condition:
    return models.FieldCondition(key="version", match=models.MatchValue(value=version))
