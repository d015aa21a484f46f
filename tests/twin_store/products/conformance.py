"""What every product index must do. Each implementation inherits this suite and provides `index`."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from twin_store.products import (
    ANYTHING,
    CatalogChange,
    CatalogPart,
    Change,
    ProductFilter,
    ProductIndex,
    ProductIndexError,
    ProductRetrieval,
    Removal,
    StatisticsChange,
    StatisticsPart,
)
from twin_store.products.base import Vector

DIMENSION = 8
HALF = 2e-3  # vectors are kept in half precision


def towards(*parts: float) -> Vector:
    """A unit vector with these leading components."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[: len(parts)] = parts
    return vector / np.float32(np.linalg.norm(vector))


def item(
    sku: str,
    vector: Vector | None = None,
    revision: int = 1,
    text: str | None = None,
    section: str | None = None,
    list_price: int | None = None,
    stocked_at: tuple[str, ...] | None = None,
) -> CatalogChange:
    """A catalogue change; the text's hash is the sku's name unless given, so equal texts can be told."""
    part = CatalogPart(
        name=f"name of {sku}",
        text_hash=text or f"text of {sku}",
        section=section,
        list_price=list_price,
        stocked_at=stocked_at,
    )
    return CatalogChange(sku, revision, towards(1.0) if vector is None else vector, part)


def sold(
    sku: str, revision: int = 1, price: int | None = None, lines: int = 1, stores: tuple[str, ...] = ()
) -> StatisticsChange:
    return StatisticsChange(sku, revision, StatisticsPart(price, lines, 0.25, stores))


def found(index: ProductIndex, where: ProductFilter = ANYTHING, k: int = 10) -> list[str]:
    return [product.sku for product in index.search(towards(1.0), k, where)]


class ProductIndexConformance:
    """The operations, in the words of the protocol."""

    def test_an_empty_index_finds_nothing(self, index: ProductIndex) -> None:
        assert index.count() == 0
        assert found(index) == []
        assert index.get("a") is None
        assert index.vectors(["a"]) == {}

    def test_search_returns_the_nearest_first_with_their_cosine(self, index: ProductIndex) -> None:
        index.apply([item("far", towards(0.0, 1.0)), item("near", towards(1.0, 0.1)), item("same")])
        hits = index.search(towards(1.0), 2)
        assert [(hit.sku, hit.name) for hit in hits] == [("same", "name of same"), ("near", "name of near")]
        assert hits[0].similarity == pytest.approx(1.0, abs=HALF)
        assert hits[1].similarity == pytest.approx(float(towards(1.0, 0.1)[0]), abs=HALF)
        assert index.count() == 3

    def test_get_returns_what_was_put(self, index: ProductIndex) -> None:
        change = item("a", section="MILK", list_price=199, stocked_at=("s1", "s2"))
        index.apply([change, sold("a", revision=5, price=179, lines=7, stores=("s3",))])
        product = index.get("a")
        assert product is not None
        assert (product.sku, product.revision, product.catalog) == ("a", 1, change.catalog)
        assert (product.statistics_revision, product.statistics) == (5, StatisticsPart(179, 7, 0.25, ("s3",)))
        assert (product.price, product.stores) == (179, ("s1", "s2"))

    def test_vectors_come_back_by_sku(self, index: ProductIndex) -> None:
        index.apply([item("a", towards(1.0, 2.0)), item("b", towards(0.0, 1.0)), sold("only sold")])
        vectors = index.vectors(["b", "a", "only sold", "unknown"])
        assert sorted(vectors) == ["a", "b"]
        assert vectors["a"] == pytest.approx(towards(1.0, 2.0), abs=HALF)

    def test_applying_again_changes_nothing(self, index: ProductIndex) -> None:
        changes: list[Change] = [item("a"), sold("a"), item("b"), Removal("b", 2)]
        assert index.apply(changes) == 2
        before = index.get("a")
        assert index.apply(changes) == 0
        assert index.get("a") == before
        assert index.get("b") is None

    def test_a_newer_item_replaces_text_vector_and_payload(self, index: ProductIndex) -> None:
        index.apply([item("a", section="OLD", list_price=100)])
        index.apply([item("a", towards(0.0, 1.0), revision=2, text="new", section="NEW")])
        product = index.get("a")
        assert product is not None
        assert (product.revision, product.catalog.section, product.price) == (2, "NEW", None)
        assert index.vectors(["a"])["a"] == pytest.approx(towards(0.0, 1.0), abs=HALF)
        assert index.count() == 1

    def test_a_newer_item_with_the_same_text_keeps_the_vector(self, index: ProductIndex) -> None:
        index.apply([item("a", section="OLD")])
        index.apply([item("a", revision=2, section="NEW")])
        assert found(index, ProductFilter(section="NEW")) == ["a"]
        assert found(index, ProductFilter(section="OLD")) == []

    def test_what_is_no_longer_said_is_gone(self, index: ProductIndex) -> None:
        index.apply([item("a", section="OLD", list_price=100, stocked_at=("s1",))])
        index.apply([item("a", revision=2)])
        assert found(index) == ["a"]
        for where in (
            ProductFilter(section="OLD"),
            ProductFilter(price_min=1),
            ProductFilter(stocked_at="s1"),
        ):
            assert found(index, where) == []
        product = index.get("a")
        assert product is not None
        assert product.catalog == item("a").catalog
        assert index.apply([item("a", revision=2)]) == 0

    def test_a_stale_item_never_overwrites_a_newer_one(self, index: ProductIndex) -> None:
        index.apply([item("a", revision=2, section="NEW")])
        assert index.apply([item("a", towards(0.0, 1.0), revision=1, text="old", section="OLD")]) == 0
        assert found(index, ProductFilter(section="NEW")) == ["a"]
        assert index.vectors(["a"])["a"] == pytest.approx(towards(1.0), abs=HALF)

    def test_stale_statistics_never_overwrite_newer_ones(self, index: ProductIndex) -> None:
        index.apply([item("a"), sold("a", revision=9, price=300)])
        assert index.apply([sold("a", revision=8, price=100)]) == 0
        product = index.get("a")
        assert product is not None
        assert product.price == 300

    def test_the_halves_do_not_disturb_each_other(self, index: ProductIndex) -> None:
        index.apply([item("a", revision=7), sold("a", revision=3, price=300)])
        index.apply([item("a", towards(0.0, 1.0), revision=8, text="new")])
        index.apply([sold("a", revision=4, price=400)])
        product = index.get("a")
        assert product is not None
        assert (product.revision, product.statistics_revision, product.price) == (8, 4, 400)

    def test_statistics_may_come_before_the_item(self, index: ProductIndex) -> None:
        index.apply([sold("a", price=300)])
        assert index.count() == 0
        assert index.get("a") is None
        assert found(index) == []
        index.apply([item("a")])
        product = index.get("a")
        assert product is not None
        assert product.price == 300
        assert index.count() == 1

    def test_a_removed_product_is_gone(self, index: ProductIndex) -> None:
        index.apply([item("a"), item("b", towards(1.0, 0.1))])
        index.apply([Removal("a", 1)])
        assert found(index) == ["b"]
        assert index.get("a") is None
        assert index.vectors(["a"]) == {}
        assert index.count() == 1

    def test_a_stale_item_does_not_bring_a_removed_product_back(self, index: ProductIndex) -> None:
        index.apply([item("a", revision=5), Removal("a", 5)])
        index.apply([item("a", revision=4)])
        index.apply([item("a", revision=5)])
        assert index.get("a") is None
        index.apply([item("a", revision=6)])
        assert found(index) == ["a"]

    def test_a_removal_may_come_before_the_item_it_removes(self, index: ProductIndex) -> None:
        index.apply([Removal("a", 5)])
        index.apply([item("a", revision=4)])
        assert index.count() == 0

    def test_a_stale_removal_removes_nothing(self, index: ProductIndex) -> None:
        index.apply([item("a", revision=5)])
        assert index.apply([Removal("a", 4)]) == 0
        assert found(index) == ["a"]

    def test_statistics_outlive_a_removal(self, index: ProductIndex) -> None:
        index.apply([item("a"), sold("a", revision=1, price=100), Removal("a", 2)])
        index.apply([sold("a", revision=2, price=200)])
        assert index.get("a") is None
        index.apply([item("a", revision=3)])
        product = index.get("a")
        assert product is not None
        assert product.price == 200

    def test_filters(self, index: ProductIndex) -> None:
        index.apply(
            [
                item("listed", section="MILK", list_price=100, stocked_at=("s1",)),
                item("sold", towards(1.0, 0.1), section="MILK"),
                sold("sold", price=200, stores=("s1", "s2")),
                item("both", towards(1.0, 0.2), section="TEA", list_price=900, stocked_at=("s2",)),
                sold("both", price=300, stores=("s1",)),
                item("bare", towards(1.0, 0.3)),
            ]
        )
        assert found(index) == ["listed", "sold", "both", "bare"]
        assert found(index, ProductFilter(section="MILK")) == ["listed", "sold"]
        assert found(index, ProductFilter(stocked_at="s1")) == ["listed", "sold"]
        assert found(index, ProductFilter(stocked_at="s2")) == ["sold", "both"]
        assert found(index, ProductFilter(price_min=100, price_max=200)) == ["listed", "sold"]
        assert found(index, ProductFilter(price_min=201)) == ["both"]
        assert found(index, ProductFilter(not_skus=frozenset({"listed", "both"}))) == ["sold", "bare"]
        assert found(index, ProductFilter(stocked_at="s2", section="MILK", price_max=999)) == ["sold"]
        assert found(index, ProductFilter(section="COFFEE")) == []

    def test_a_filter_follows_a_change_of_statistics(self, index: ProductIndex) -> None:
        index.apply([item("a"), sold("a", revision=1, price=100, stores=("s1",))])
        index.apply([sold("a", revision=2, price=500, stores=("s2",))])
        assert found(index, ProductFilter(price_max=499)) == []
        assert found(index, ProductFilter(stocked_at="s1")) == []
        assert found(index, ProductFilter(price_min=500, stocked_at="s2")) == ["a"]

    def test_equal_texts_are_all_found(self, index: ProductIndex) -> None:
        index.apply([item(f"a{number}", text="the same") for number in range(20)])
        assert sorted(found(index, k=20)) == sorted(f"a{number}" for number in range(20))

    def test_discarding_empties_it(self, index: ProductIndex) -> None:
        index.apply([item("a"), sold("b")])
        index.checkpoint({"source": 1})
        index.discard()
        assert (index.count(), dict(index.position)) == (0, {})
        index.apply([item("b", revision=1)])
        assert found(index) == ["b"]

    def test_similar_products_leave_out_the_one_asked_about(self, index: ProductIndex) -> None:
        index.apply([item("a"), item("b", towards(1.0, 0.1)), item("c", towards(0.0, 1.0))])
        retrieval = ProductRetrieval(index)
        assert [hit.sku for hit in retrieval.similar_to("a", 2)] == ["b", "c"]
        assert [hit.sku for hit in retrieval.similar_to("a", 2, ProductFilter(section="none"))] == []
        assert retrieval.similar_to("unknown", 2) == []

    def test_similar_to_a_basket_is_near_its_middle(self, index: ProductIndex) -> None:
        index.apply(
            [
                item("bread", towards(1.0)),
                item("butter", towards(0.0, 1.0)),
                item("jam", towards(1.0, 1.0)),
                item("soap", towards(0.0, 0.0, 1.0)),
            ]
        )
        retrieval = ProductRetrieval(index)
        hits = retrieval.similar_to_many(["butter", "bread", "unknown", "bread"], 5)
        assert [hit.sku for hit in hits] == ["jam", "soap"]
        assert hits[0].similarity == pytest.approx(1.0, abs=HALF)
        assert retrieval.similar_to_many(["bread", "butter"], 5) == hits
        assert retrieval.similar_to_many([], 5) == []

    def test_text_search_needs_an_embedder(self, index: ProductIndex) -> None:
        with pytest.raises(ProductIndexError, match="embedder"):
            ProductRetrieval(index).search_text("milk", 3)

    def test_a_vector_of_another_length_is_refused(self, index: ProductIndex) -> None:
        index.apply([item("a")])
        with pytest.raises(ProductIndexError):
            index.apply([item("b", np.ones(DIMENSION + 1, dtype=np.float32))])
        with pytest.raises(ProductIndexError):
            index.search(np.ones(DIMENSION + 1, dtype=np.float32), 1)
        assert found(index) == ["a"]

    @pytest.mark.parametrize("seed", range(3))
    def test_any_order_and_any_repetition_end_the_same(self, index: ProductIndex, seed: int) -> None:
        """Ten products, a history of revisions each, shuffled, repeated and cut into batches at random."""
        draw = random.Random(seed)
        history = _history(draw)
        disturbed = history + draw.sample(history, len(history) // 3)
        draw.shuffle(disturbed)
        for batch in _batches(draw, disturbed):
            index.apply(batch)
        assert _state(index) == _newest(history)


def _history(draw: random.Random) -> list[Change]:
    history: list[Change] = []
    for number in range(10):
        sku = f"p{number}"
        for revision in range(1, draw.randint(2, 5)):
            vector = towards(draw.random(), draw.random(), draw.random())
            history.append(item(sku, vector, revision, text=f"{sku} {revision}", list_price=revision))
        if draw.random() < 0.4:
            history.append(Removal(sku, draw.randint(1, 5)))
        history += [sold(sku, revision, lines=revision) for revision in range(draw.randint(0, 4))]
    return history


def _batches(draw: random.Random, changes: Sequence[Change]) -> list[Sequence[Change]]:
    batches, start = [], 0
    while start < len(changes):
        size = draw.randint(1, 12)
        batches.append(changes[start : start + size])
        start += size
    return batches


Summary = tuple[int, str, int, tuple[float, ...]]


def _newest(history: Sequence[Change]) -> dict[str, Summary]:
    """Revision, text, statistics revision and vector of each product that should stand."""
    expected = {}
    for sku in {change.sku for change in history}:
        own = [change for change in history if change.sku == sku]
        newest = max(
            (each for each in own if isinstance(each, CatalogChange)), key=lambda each: each.revision
        )
        removed = max((each.revision for each in own if isinstance(each, Removal)), default=-1)
        statistics = max((each.revision for each in own if isinstance(each, StatisticsChange)), default=-1)
        if newest.revision > removed:
            vector = tuple(np.round(newest.vector.astype(float), 2))
            expected[sku] = (newest.revision, newest.catalog.text_hash, statistics, vector)
    return expected


def _state(index: ProductIndex) -> dict[str, Summary]:
    state = {}
    for number in range(10):
        product = index.get(f"p{number}")
        if product is not None:
            vector = tuple(np.round(index.vectors([product.sku])[product.sku].astype(float), 2))
            state[product.sku] = (
                product.revision,
                product.catalog.text_hash,
                product.statistics_revision,
                vector,
            )
    return state
