"""The embedded index: Qdrant's engine in this process, one folder on disk, no server.

One lock guards the shard. A search takes a tenth of a millisecond; writes are cut into pieces so that no search
waits long behind one. New vectors are searchable at once, compared one by one; the graph over them is built by
another process on a copy (`edge_build`), which then takes the shard's place.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import qdrant_edge as qdrant

from twin_store.messages import RetrievedProduct
from twin_store.products import edge_shard
from twin_store.products.base import (
    ANYTHING,
    CatalogChange,
    Change,
    Product,
    ProductFilter,
    ProductIndexError,
    Vector,
)
from twin_store.products.edge_build import GraphBuild
from twin_store.products.edge_files import EdgeFiles
from twin_store.products.payload import Payload, Write, plan, point_id, product_of, ranked

CHANGES_AT_ONCE = 256
BUILD_AFTER_UNINDEXED = 5_000
BUILD_AFTER_QUIET_S = 2.0
BUILD_AT_LATEST_S = 300.0
_log = logging.getLogger(__name__)


class EdgeIndex:
    """A `ProductIndex` in this process that remembers how far its reader has come."""

    def __init__(self, folder: Path, model: str) -> None:
        """Open the index in `folder`, or start an empty one.

        An index of another embedding model, or one that the engine cannot read, is discarded and starts
        empty at no position. Raises `ProductIndexError` if another process has the folder open.
        """
        self._files = EdgeFiles(folder, model)
        self._lock = threading.RLock()
        self._build: GraphBuild | None = None
        self._vector_written_at = time.monotonic()
        self._unindexed_since = time.monotonic()
        self._no_build_before = 0.0
        # Without a vector the length of vectors is not known and there is no shard: what comes first waits here.
        self._early: dict[str, Payload] = {}
        self._shard = self._load()

    @property
    def position(self) -> Mapping[str, int]:
        """What `checkpoint` recorded last: the next offset to read, by name of the source's partition."""
        return dict(self._files.state.position)

    def apply(self, changes: Sequence[Change]) -> int:
        """See `ProductIndex.apply`."""
        changed = 0
        for start in range(0, len(changes), CHANGES_AT_ONCE):
            with self._engine():
                part = changes[start : start + CHANGES_AT_ONCE]
                self._prepare(part)
                writes = plan(part, self._payloads([change.sku for change in part]))
                self._write(writes)
                changed += len(writes)
        return changed

    def search(self, vector: Vector, k: int, where: ProductFilter = ANYTHING) -> list[RetrievedProduct]:
        """See `ProductIndex.search`."""
        with self._engine() as files:
            if self._shard is None:
                return []
            if vector.shape != (files.state.dimension,):
                raise ProductIndexError(
                    f"query vector has shape {vector.shape}, the index holds {files.state.dimension} dimensions"
                )
            return ranked(edge_shard.nearest(self._shard, vector, k, where))

    def get(self, sku: str) -> Product | None:
        """See `ProductIndex.get`."""
        with self._engine():
            payload = self._payloads([sku]).get(point_id(sku))
        return product_of(payload) if payload else None

    def vectors(self, skus: Sequence[str]) -> dict[str, Vector]:
        """See `ProductIndex.vectors`."""
        with self._engine():
            if self._shard is None:
                return {}
            points = edge_shard.read(self._shard, {point_id(sku) for sku in skus}, with_vector=True)
            return {payload["sku"]: vector for _, payload, vector in points if vector is not None}

    def count(self) -> int:
        """See `ProductIndex.count`."""
        with self._engine():
            return 0 if self._shard is None else edge_shard.count(self._shard)

    def checkpoint(self, position: Mapping[str, int]) -> None:
        """Make everything applied durable and record that it includes all before `position`.

        Before the first vector nothing is durable and nothing is recorded.
        """
        with self._engine() as files:
            if self._shard is not None:
                self._shard.flush()
                files.state.position = dict(position)
                files.save()

    def maintain(self) -> None:
        """Start building the graph when many vectors lack one, put a finished one in place; returns at once."""
        with self._engine():
            if self._build is not None:
                self._end_build(self._build)
            elif self._is_build_due(time.monotonic()):
                self._begin_build()

    def build(self) -> None:
        """Build the graph now. Blocks every thread of this process, some ten seconds for 92k products."""
        with self._engine() as files:
            self._abandon_build()
            if self._shard is not None:
                self._shard.optimize()
                self._shard.flush()
                files.state.unindexed = 0
                files.save()

    def discard(self) -> None:
        """Empty the index and forget its position."""
        with self._engine() as files:
            self._abandon_build()
            if self._shard is not None:
                self._shard.close()
            self._shard, self._early = None, {}
            files.discard()

    def close(self) -> None:
        """Make everything durable and let another process have the folder. Closing twice is harmless."""
        with self._engine() as files:
            self._abandon_build()
            if self._shard is not None:
                self._shard.flush()
                files.save()
                self._shard.close()
                self._shard = None
            files.close()

    def _load(self) -> qdrant.EdgeShard | None:
        path = self._files.shard
        if path is None:
            return None
        try:
            return edge_shard.load(path, self._files.state.dimension)
        except Exception as error:  # the engine raises nothing narrower
            _log.warning("product index %s cannot be read (%s); it is built again", path, error)
            self._files.discard()
            return None

    @contextmanager
    def _engine(self) -> Iterator[EdgeFiles]:
        """The lock, and the engine's errors as ours: it raises bare `Exception`."""
        with self._lock:
            try:
                yield self._files
            except ProductIndexError:
                raise
            except Exception as error:
                raise ProductIndexError(
                    f"{self._files.folder}: {error}; remove the folder to build the index again"
                ) from error

    def _prepare(self, changes: Sequence[Change]) -> None:
        """Create the shard when the first vector comes; refuse vectors of another length."""
        for change in changes:
            if not isinstance(change, CatalogChange):
                continue
            if self._shard is None:
                self._create(len(change.vector))
            if change.vector.shape != (self._files.state.dimension,):
                raise ProductIndexError(
                    f"product {change.sku}: vector of shape {change.vector.shape}, but the index holds "
                    f"{self._files.state.dimension} dimensions; rebuild it with `twins products rebuild`"
                )

    def _create(self, dimension: int) -> None:
        path = self._files.new_shard()
        self._shard = edge_shard.create(path, dimension)
        self._files.state.shard, self._files.state.dimension = path.name, dimension
        self._files.save()
        early = [
            Write(key, payload, payload, None, keeps_vector=False) for key, payload in self._early.items()
        ]
        self._early = {}
        self._write(early)

    def _payloads(self, skus: Sequence[str]) -> dict[str, Payload]:
        ids = {point_id(sku) for sku in skus}
        if self._shard is None:
            return {key: self._early[key] for key in ids if key in self._early}
        return {key: payload for key, payload, _ in edge_shard.read(self._shard, ids)}

    def _write(self, writes: Sequence[Write]) -> None:
        if self._shard is None:
            self._early.update((write.point_id, write.payload) for write in writes)
            return
        edge_shard.write(self._shard, writes)
        vectors = sum(write.vector is not None for write in writes)
        if vectors:
            self._vector_written_at = time.monotonic()
            if not self._files.state.unindexed:
                self._unindexed_since = self._vector_written_at
            self._files.state.unindexed += vectors
        if self._build is not None:
            self._build.note(writes)

    def _is_build_due(self, now: float) -> bool:
        """Whether enough vectors lack a graph, and the stream of them has paused or will not."""
        if self._files.state.unindexed < BUILD_AFTER_UNINDEXED or now < self._no_build_before:
            return False
        quiet = now - self._vector_written_at >= BUILD_AFTER_QUIET_S
        return quiet or now - self._unindexed_since >= BUILD_AT_LATEST_S

    def _begin_build(self) -> None:
        serving = self._files.shard
        if self._shard is not None and serving is not None:
            self._shard.flush()
            self._build = GraphBuild(serving, self._files.new_shard(), self._files.state.dimension)

    def _end_build(self, build: GraphBuild) -> None:
        """Put a finished build in place of the serving shard."""
        if not build.is_over() or self._shard is None:
            return
        try:
            built, unindexed = build.finish(self._shard)
        except Exception as error:  # the engine raises nothing narrower
            _log.warning("building the product graph failed (%s); it is tried again later", error)
            self._abandon_build()
            self._no_build_before = time.monotonic() + BUILD_AT_LATEST_S
            return
        replaced, folder = self._shard, self._files.shard
        self._shard, self._build = built, None
        self._files.state.shard, self._files.state.unindexed = build.copy.name, unindexed
        self._files.save()
        replaced.close()
        if folder is not None:
            self._files.remove(folder)

    def _abandon_build(self) -> None:
        if self._build is not None:
            self._build.abandon()
            self._build = None
