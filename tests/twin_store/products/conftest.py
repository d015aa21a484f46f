"""The embedder of these tests, loaded once: it takes seconds."""

from __future__ import annotations

import pytest

from twin_store.products.embedding import SentenceEmbedder


@pytest.fixture(scope="session")
def sentence_embedder() -> SentenceEmbedder:
    """The bundled model."""
    return SentenceEmbedder()
