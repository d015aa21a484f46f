"""The product index: what products say and sell, as vectors and payload, behind one interface.

This module loads neither torch nor Qdrant. The implementations are `edge.EdgeIndex` and `server.ServerIndex`,
the embedder is `embedding.SentenceEmbedder`, and `retrieval.ProductRetrieval` is what the planner asks.
"""

from twin_store.products.base import (
    ANYTHING,
    CatalogChange,
    CatalogPart,
    Change,
    Product,
    ProductFilter,
    ProductIndex,
    ProductIndexError,
    Removal,
    StatisticsChange,
    StatisticsPart,
)
from twin_store.products.retrieval import ProductRetrieval

__all__ = [
    "ANYTHING",
    "CatalogChange",
    "CatalogPart",
    "Change",
    "Product",
    "ProductFilter",
    "ProductIndex",
    "ProductIndexError",
    "ProductRetrieval",
    "Removal",
    "StatisticsChange",
    "StatisticsPart",
]
