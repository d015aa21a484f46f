"""Retrieval over the whole Complete Journey catalogue: the embedded index against its rivals, in one run.

    python -m benchmarks.retrieval [--products N] [--json]

Rivals hold the same vectors and answer the same queries on the same machine: numpy, which compares all of them,
and qdrant-client's local mode. Prices and stores of the filters are those of the real receipts.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from qdrant_client import QdrantClient

from benchmarks.command import run_alone
from benchmarks.progress import say
from streams.sources.complete_journey.catalogue import catalogue_records
from streams.sources.complete_journey.tables import Tables, Window, find_tables
from twin_store.messages import CatalogItem
from twin_store.messages.codec import decode
from twin_store.products import (
    ANYTHING,
    CatalogChange,
    ProductFilter,
    ProductIndex,
    ProductRetrieval,
    StatisticsChange,
    StatisticsPart,
)
from twin_store.products.edge import EdgeIndex
from twin_store.products.embedding import SentenceEmbedder, TextVectors
from twin_store.products.projection import catalog_part, revision_of
from twin_store.products.server import ServerIndex
from twin_store.products.text import text_hash, text_of

K = 10
QUERIES = 1_000
RIVAL_QUERIES = 30  # the local mode takes a tenth of a second for one
NEAR = 2e-3  # half precision: a neighbour that is this little farther than the tenth is as good
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Catalogue:
    """The products and what is known of them. `vectors` has shape (products, dimension)."""

    changes: list[CatalogChange]
    statistics: list[StatisticsChange]
    vectors: Vectors
    distinct_texts: int
    embedding_s: float


def measure(products: int | None = None) -> dict[str, Any]:
    """All numbers of one run; times in the unit that the name ends with."""
    catalogue = load(find_tables(), products)
    draw = np.random.default_rng(1)
    asked = draw.integers(0, len(catalogue.changes), QUERIES)
    found: dict[str, Any] = {
        "products": len(catalogue.changes),
        "distinct_texts": catalogue.distinct_texts,
        "texts_embedded_per_s": round(catalogue.distinct_texts / catalogue.embedding_s),
        "embedding_s": round(catalogue.embedding_s, 1),
    }
    with tempfile.TemporaryDirectory() as folder:
        found |= measure_embedded(catalogue, asked, Path(folder))
    brute = brute_force_ms(catalogue, asked)
    local = local_mode_ms(catalogue, asked[:RIVAL_QUERIES])
    embedded = found["embedded_ms_p50"]
    return found | {
        "numpy_ms_p50": brute,
        "local_mode_ms_p50": local,
        "times_faster_than_numpy": round(brute / embedded, 1),
        "times_faster_than_local_mode": round(local / embedded, 1),
    }


def load(tables: Tables, products: int | None) -> Catalogue:
    """The catalogue as the indexer makes it, and statistics as the receipts give them."""
    records = list(catalogue_records(tables, Window()))[:products]
    items = [decode(CatalogItem, record.value) for record in records]
    texts = [text_of(item) for item in items]
    hashes = [text_hash(text) for text in texts]
    embedder = SentenceEmbedder()
    embedder.embed(texts[:64])
    say(f"{len(set(hashes)):,} texts are embedded")
    started = time.perf_counter()
    vectors = TextVectors(embedder).embed(dict(zip(hashes, texts, strict=True)))
    embedding_s = time.perf_counter() - started
    changes = [
        CatalogChange(
            item.sku, revision_of(item.updated_at), vectors[hashed], catalog_part(item, hashed, digits=2)
        )
        for item, hashed in zip(items, hashes, strict=True)
    ]
    known = {change.sku for change in changes}
    statistics = [change for change in statistics_of(tables) if change.sku in known]
    matrix = np.array([change.vector for change in changes], dtype=np.float16).astype(np.float32)
    return Catalogue(changes, statistics, matrix, len(vectors), embedding_s)


def statistics_of(tables: Tables) -> list[StatisticsChange]:
    """Median price and stores of each product that was sold."""
    lines = tables.scan("transactions").filter(pl.col("quantity") > 0)
    price = (pl.col("sales_value") * 100 / pl.col("quantity")).median().round().cast(pl.Int64)
    sold = lines.group_by(pl.col("product_id").cast(pl.String)).agg(
        price.alias("price"),
        pl.len().alias("lines"),
        pl.col("store_id").cast(pl.String).unique().alias("stores"),
    )
    return [
        StatisticsChange(sku, 1, StatisticsPart(price, count, 0.0, tuple(stores)))
        for sku, price, count, stores in sold.collect().iter_rows()
    ]


def measure_embedded(catalogue: Catalogue, asked: NDArray[np.int64], folder: Path) -> dict[str, Any]:
    """Writing, building and searching the embedded index."""
    index = EdgeIndex(folder, "benchmark")
    found: dict[str, Any] = {
        "upserts_per_s": per_second(index, catalogue.changes),
        "statistics_per_s": per_second(index, catalogue.statistics),
        "embedded_before_graph_ms_p50": percentiles(search_ms(index, catalogue, asked[:200]))[0],
    }
    started = time.perf_counter()
    index.build()
    found["graph_build_s"] = round(time.perf_counter() - started, 1)
    search_ms(index, catalogue, asked)  # the first searches read the graph from disk
    found["embedded_ms_p50"], found["embedded_ms_p99"] = percentiles(search_ms(index, catalogue, asked))
    found["embedded_recall_at_10"] = round(recall(index, catalogue, asked[:200]), 4)
    for name, where in filters(catalogue).items():
        found[f"embedded_{name}_ms_p50"] = percentiles(search_ms(index, catalogue, asked, where))[0]
    retrieval = ProductRetrieval(index)
    skus = [catalogue.changes[number].sku for number in asked]
    found["similar_to_ms_p50"] = percentiles(timed_ms(lambda sku: retrieval.similar_to(sku, K), skus))[0]
    baskets = [skus[start : start + 10] for start in range(0, len(skus), 10)]
    found["similar_to_10_ms_p50"] = percentiles(
        timed_ms(lambda basket: retrieval.similar_to_many(basket, K), baskets)
    )[0]
    index.close()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    found["bytes_on_disk_per_product"] = round(size / len(catalogue.changes))
    return found


def filters(catalogue: Catalogue) -> dict[str, ProductFilter]:
    """The busiest store, its largest section and the middle price band; all three together."""
    stores = [store for change in catalogue.statistics for store in change.statistics.stores]
    sections = [change.catalog.section for change in catalogue.changes if change.catalog.section]
    store, section = max(set(stores), key=stores.count), max(set(sections), key=sections.count)
    return {
        "store": ProductFilter(stocked_at=store),
        "section": ProductFilter(section=section),
        "price": ProductFilter(price_min=200, price_max=400),
        "all_filters": ProductFilter(store, section, price_min=200, price_max=400),
    }


def brute_force_ms(catalogue: Catalogue, asked: NDArray[np.int64]) -> float:
    """Median of comparing all vectors with numpy."""

    def nearest(vector: Vectors) -> NDArray[np.int64]:
        cosines = catalogue.vectors @ vector
        best = np.argpartition(-cosines, K)[:K]
        return best[np.argsort(-cosines[best])]

    return percentiles(timed_ms(nearest, list(catalogue.vectors[asked])))[0]


def local_mode_ms(catalogue: Catalogue, asked: NDArray[np.int64]) -> float:
    """Median of qdrant-client's local mode, in memory."""
    dimension = catalogue.vectors.shape[1]
    index = ServerIndex(QdrantClient(":memory:"), "benchmark", dimension, local_mode=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it knows that it is not meant for so many
        index.apply(catalogue.changes)
    return percentiles(search_ms(index, catalogue, asked))[0]


def recall(index: ProductIndex, catalogue: Catalogue, asked: NDArray[np.int64]) -> float:
    """Share of the answers that are as near as the true ten nearest."""
    good = 0
    for number in asked:
        vector = catalogue.vectors[number]
        tenth = np.partition(catalogue.vectors @ vector, -K)[-K]
        good += sum(hit.similarity >= tenth - NEAR for hit in index.search(vector, K))
    return good / (K * len(asked))


def search_ms(
    index: ProductIndex,
    catalogue: Catalogue,
    asked: NDArray[np.int64],
    where: ProductFilter = ANYTHING,
) -> list[float]:
    """Milliseconds of a search for the neighbours of each product asked about."""
    return timed_ms(lambda vector: index.search(vector, K, where), list(catalogue.vectors[asked]))


def timed_ms(call: Callable[[Any], Any], arguments: Sequence[Any]) -> list[float]:
    """Milliseconds of each call."""
    taken = []
    for argument in arguments:
        started = time.perf_counter()
        call(argument)
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def percentiles(taken_ms: list[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    return round(float(np.median(taken_ms)), 3), round(float(np.quantile(taken_ms, 0.99)), 3)


def per_second(index: ProductIndex, changes: Sequence[Any]) -> int:
    """Changes applied a second."""
    started = time.perf_counter()
    index.apply(changes)
    return round(len(changes) / (time.perf_counter() - started))


if __name__ == "__main__":
    run_alone(__doc__, measure)
