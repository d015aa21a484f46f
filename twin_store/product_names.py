"""What profiles are read by, made from the catalogue and the usual prices, whether they are live or of the past."""

import numpy as np

from twin_store.catalogue import Catalogue
from twin_store.dna.preferences import (
    BRAND,
    DEAL_SHARE,
    LEVELS,
    PRICE,
    SECTION,
    TIER,
    TYPE,
    USUALS,
    products_table,
)
from twin_store.dna.profile import ProductNames
from twin_store.key_index import KeyIndex
from twin_store.usuals import Usuals, price_tiers


def product_names(catalogue: Catalogue, usuals: Usuals) -> ProductNames:
    """What is known of the products of either: later changes of the two do not reach it."""
    known, usual_of = catalogue.tables(), usuals.tables()
    index = KeyIndex()
    listed = len(index.add(catalogue.keys()))
    rows = index.add(usual_of.keys)
    groups = np.full((len(index), LEVELS), -1, dtype=np.int64)
    names: dict[int, list[str]] = {}
    for level, codes in ((SECTION, known.section), (TYPE, known.item_type), (BRAND, known.brand)):
        groups[:listed, level], names[level] = _dense(codes[:listed], catalogue)
    usual = np.full((len(index), USUALS), np.nan)
    usual[rows, PRICE] = usual_of.price
    usual[rows, DEAL_SHARE] = usual_of.deal_share
    usual[:, TIER] = price_tiers(groups[:, SECTION], usual[:, PRICE])
    counts = np.array([len(names[level]) for level in range(LEVELS)], dtype=np.int64)
    products = products_table(index, groups, usual, counts)
    return ProductNames(products, names[SECTION], names[TYPE], names[BRAND])


def _dense(codes: np.ndarray, catalogue: Catalogue) -> tuple[np.ndarray, list[str]]:
    keys, dense = np.unique(codes, return_inverse=True)
    names = [catalogue.text_of(key) for key in keys.tolist()]
    # Code 0 stands for "not given" and has no text.
    renumbered = np.cumsum([name is not None for name in names]) - 1
    renumbered[[name is None for name in names]] = -1
    return renumbered[dense].astype(np.int64), [name for name in names if name is not None]
