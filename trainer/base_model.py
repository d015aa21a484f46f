"""A base model in a folder, as those who add to it need to know it: its identity, and what can be adapted."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from trainer.tensor_files import TensorFileError, read_contents

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
_CHUNK_BYTES = 1 << 20
_EMBEDDINGS = ("embed_tokens", "lm_head")


class BaseModelError(ValueError):
    """A folder that is no model this project can serve or train on."""


@dataclass(frozen=True)
class BaseModel:
    """A model of the Hugging Face layout: `config.json`, `tokenizer.json` and weights in safetensors.

    Attributes:
        folder: where it lies.
        name: the folder's own name.
        sha256: over configuration, tokenizer and weights: whoever has the same answers the same.
        linears: (outputs, inputs) of each matrix that an adapter may change, by module, such as
            `model.layers.0.self_attn.q_proj`.
        embeddings: the modules with a row a token.
    """

    folder: Path
    name: str
    sha256: str
    linears: dict[str, tuple[int, int]]
    embeddings: frozenset[str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The model in a folder. Reads each file once, so it takes a second a gigabyte.

        Raises:
            BaseModelError: a file is missing or broken.
        """
        weights = sorted(folder.glob("*.safetensors"))
        identity = [folder / CONFIG, folder / TOKENIZER, *weights]
        missing = [path.name for path in identity if not path.is_file()]
        if missing or not weights:
            raise BaseModelError(f"{folder} lacks {', '.join(missing) or 'weights in safetensors'}")
        matrices: dict[str, tuple[int, int]] = {}
        try:
            for path in weights:
                for name, tensor in read_contents(path).items():
                    if name.endswith(".weight") and len(tensor.shape) == 2:
                        matrices[name.removesuffix(".weight")] = (tensor.shape[0], tensor.shape[1])
        except TensorFileError as error:
            raise BaseModelError(f"{folder}: {error}") from None
        embeddings = frozenset(name for name in matrices if name.rsplit(".", 1)[-1] in _EMBEDDINGS)
        linears = {name: shape for name, shape in matrices.items() if name not in embeddings}
        return cls(folder, folder.resolve().name, _digest(identity), linears, embeddings)


def file_sha256(path: Path) -> str:
    """The hash of a file's content, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _digest(paths: list[Path]) -> str:
    hashes = {path.name: file_sha256(path) for path in paths}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
