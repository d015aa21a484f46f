"""What the index gave for a few products, put together."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from twin_store.messages import RetrievedProduct

ANCHORS_MAX = 3

Neighbours = Mapping[str, Sequence[RetrievedProduct]]
"""By sku, the products most like it, nearest first; a sku may be missing."""


def merged(
    neighbours: Neighbours, anchors: Iterable[str], without: Collection[str]
) -> list[RetrievedProduct]:
    """The neighbours of several products, nearest first, each once, less those in `without`."""
    best: dict[str, RetrievedProduct] = {}
    for anchor in anchors:
        for product in neighbours.get(anchor, ()):
            known = best.get(product.sku)
            if product.sku not in without and (known is None or product.similarity > known.similarity):
                best[product.sku] = product
    return sorted(best.values(), key=lambda product: (-product.similarity, product.sku))
