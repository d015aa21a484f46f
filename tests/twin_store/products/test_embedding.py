"""The real embedder, loaded once: unit vectors, likeness of meaning, each text embedded once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from twin_store.products import ProductIndexError, ProductRetrieval
from twin_store.products.base import CatalogChange, CatalogPart
from twin_store.products.edge import EdgeIndex
from twin_store.products.embedding import SentenceEmbedder, TextVectors
from twin_store.products.text import text_hash

TEXTS = {
    text_hash(text): text
    for text in ("whole milk 1 gal", "skim milk", "motor oil 5w-30", "paper towels", "semi-skimmed milk")
}


class CountingEmbedder:
    """Passes texts on and remembers which ones it was asked for."""

    def __init__(self, embedder: SentenceEmbedder) -> None:
        self.model, self.dimension = embedder.model, embedder.dimension
        self.asked: list[str] = []
        self._embedder = embedder

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return self._embedder.embed(texts)


def test_vectors_have_unit_length_and_texts_alike_are_near(sentence_embedder: SentenceEmbedder) -> None:
    texts = list(TEXTS.values())
    vectors = sentence_embedder.embed(texts)
    assert vectors.shape == (5, sentence_embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-6)
    cosines = vectors @ vectors[0]
    assert sorted(np.argsort(-cosines)[:3]) == [0, 1, 4]
    assert sentence_embedder.embed([]).shape == (0, sentence_embedder.dimension)


def test_each_text_is_embedded_once(sentence_embedder: SentenceEmbedder) -> None:
    counting = CountingEmbedder(sentence_embedder)
    vectors = TextVectors(counting)
    first = vectors.embed(TEXTS)
    assert sorted(counting.asked) == sorted(TEXTS.values())
    one = next(iter(TEXTS))
    again = vectors.embed({one: TEXTS[one], text_hash("tea"): "tea"})
    assert counting.asked[5:] == ["tea"]
    assert vectors.embedded == 6
    assert again[one] == pytest.approx(first[one], abs=1e-3)


def test_a_vector_made_before_is_not_made_again(sentence_embedder: SentenceEmbedder) -> None:
    counting = CountingEmbedder(sentence_embedder)
    vectors = TextVectors(counting)
    known = np.ones(sentence_embedder.dimension, dtype=np.float32)
    vectors.remember(text_hash("tea"), known)
    assert vectors.embed({text_hash("tea"): "tea"})[text_hash("tea")].tolist() == known.tolist()
    assert counting.asked == []


def test_what_is_remembered_is_bounded(sentence_embedder: SentenceEmbedder) -> None:
    counting = CountingEmbedder(sentence_embedder)
    vectors = TextVectors(counting, remembered_max=2)
    vectors.embed(TEXTS)
    vectors.embed(TEXTS)
    assert len(counting.asked) == 8


def test_search_by_text(
    sentence_embedder: SentenceEmbedder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    index = EdgeIndex(tmp_path_factory.mktemp("index"), sentence_embedder.model)
    found = TextVectors(sentence_embedder).embed(TEXTS)
    index.apply(
        [
            CatalogChange(text, 1, found[hashed], CatalogPart(name=text, text_hash=hashed))
            for hashed, text in TEXTS.items()
        ]
    )
    retrieval = ProductRetrieval(index, sentence_embedder)
    assert retrieval.search_text("MOTOR OIL", 1)[0].sku == "motor oil 5w-30"
    assert {hit.sku for hit in retrieval.search_text("milk", 3)} == {
        "whole milk 1 gal",
        "skim milk",
        "semi-skimmed milk",
    }
    index.close()


def test_a_model_that_is_not_there_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("no-model")
    with pytest.raises(ProductIndexError, match=r"no-model.*TWINS_EMBEDDING_MODEL"):
        SentenceEmbedder(str(folder))
