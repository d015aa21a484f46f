"""The table of contents of a safetensors file, read without loading a tensor and without torch.

Eight bytes say how long the JSON header is; it names each tensor's type, shape and place; the tensors follow, without
gaps. So a file that was cut, padded or tampered with in its table is known before anything is loaded.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEADER_MAX_BYTES = 100_000_000  # as the safetensors library has it
_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_ITEM_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
}  # fmt: skip


class TensorFileError(ValueError):
    """A file that is no whole safetensors file."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What the header says of one tensor. `dtype` as safetensors spells it, such as `BF16`."""

    dtype: str
    shape: tuple[int, ...]


def read_contents(path: Path) -> dict[str, TensorInfo]:
    """The tensors of a safetensors file by name.

    Raises:
        TensorFileError: the file is truncated, longer than its header says, or has no valid header.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or length > min(HEADER_MAX_BYTES, size - _LENGTH_BYTES):
            raise TensorFileError(f"{path.name} ends before its header does")
        raw = file.read(length)
    try:
        header = json.loads(raw)
        entries = {name: entry for name, entry in header.items() if name != _METADATA}
        found = {name: _entry(entry) for name, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TensorFileError(f"{path.name} has no valid header: {error}") from None
    _check_places(path.name, [place for _, place in found.values()], size - _LENGTH_BYTES - length)
    return {name: info for name, (info, _) in found.items()}


def _entry(entry: Any) -> tuple[TensorInfo, tuple[int, int]]:
    info = TensorInfo(str(entry["dtype"]), tuple(int(side) for side in entry["shape"]))
    begin, end = (int(offset) for offset in entry["data_offsets"])
    if min(info.shape, default=0) < 0 or (end - begin) * 8 != math.prod(info.shape) * _ITEM_BITS[info.dtype]:
        raise ValueError(f"{end - begin} bytes are not a {info.dtype} tensor of shape {info.shape}")
    return info, (begin, end)


def _check_places(name: str, places: list[tuple[int, int]], data_bytes: int) -> None:
    """The tensors must fill the rest of the file, one after the other."""
    at = 0
    for begin, end in sorted(places):
        if begin != at:
            raise TensorFileError(f"{name} has a gap or an overlap at byte {begin} of its tensors")
        at = end
    if at != data_bytes:
        raise TensorFileError(f"{name} has {data_bytes} bytes of tensors where its header says {at}")
