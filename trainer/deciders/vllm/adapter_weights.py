"""What an adapter's tensors may be: pairs of matrices that fit matrices of the base, each under its full name."""

import re
from collections.abc import Collection, Mapping

from trainer.base_model import BaseModel
from trainer.deciders.vllm.errors import AdapterError, Reason
from trainer.tensor_files import TensorInfo

_PREFIX = "base_model.model."
_EMBEDDING = re.compile(r"(^|\.)(embed_tokens|lm_head)(\.|$)|lora_embedding|token_adapter|trainable_tokens")
_PAIRED = re.compile(r"(?P<module>.+)\.lora_(?P<half>[AB])\.weight")


def check_weights(
    tensors: Mapping[str, TensorInfo], base: BaseModel, rank: int, allowed: Collection[str]
) -> None:
    """Every tensor belongs to a matrix of the base that may be adapted, and fits it.

    Names must match in full: vLLM compares only the last part, and leaves out what it then finds no layer for.

    Raises:
        AdapterError: naming the first tensor that does not.
    """
    pairs: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, tensor in sorted(tensors.items()):
        if _EMBEDDING.search(name):
            raise AdapterError(Reason.EMBEDDINGS, f"{name} is of the embeddings; fold it into the base")
        if "lora_magnitude_vector" in name:
            raise AdapterError(Reason.DORA, f"{name} is of a DoRA adapter; the engine has no DoRA")
        found = _PAIRED.fullmatch(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else None
        if found is None or found["module"] not in base.linears:
            raise AdapterError(Reason.MODULE, f"{name} belongs to nothing in base {base.name}")
        if found["module"].rsplit(".", 1)[-1] not in allowed:
            raise AdapterError(Reason.MODULE, f"{name} must not be changed; allowed: {', '.join(allowed)}")
        pairs.setdefault(found["module"], {})[found["half"]] = tensor.shape
    if not pairs:
        raise AdapterError(Reason.SHAPE, "it has no weights")
    for module, halves in pairs.items():
        _check_pair(module, halves, base.linears[module], rank)


def _check_pair(module: str, halves: dict[str, tuple[int, ...]], shape: tuple[int, int], rank: int) -> None:
    """`lora_A` is (rank, inputs) and `lora_B` (outputs, rank) of the base's (outputs, inputs)."""
    outputs, inputs = shape
    if set(halves) != {"A", "B"} or len(halves["A"]) != 2 or len(halves["B"]) != 2:
        raise AdapterError(Reason.SHAPE, f"{module} has {', '.join(halves)} and needs matrices A and B")
    if (halves["A"][1], halves["B"][0]) != (inputs, outputs) or halves["A"][0] != halves["B"][1]:
        raise AdapterError(Reason.SHAPE, f"{module} has {halves}; the base's matrix is {shape}")
    if halves["A"][0] > rank:
        raise AdapterError(Reason.RANK, f"{module} has rank {halves['A'][0]}; its configuration says {rank}")
