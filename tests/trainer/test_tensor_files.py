"""The table of contents of a safetensors file, and every way in which a file can fail to be one."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from trainer.tensor_files import TensorFileError, TensorInfo, read_contents

WHOLE = save(
    {"a": np.zeros((2, 3), np.float32), "b": np.zeros((5,), np.float16), "c": np.zeros((), np.int64)}
)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    return path


def with_header(header: object, data: bytes) -> bytes:
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def test_names_types_and_shapes_are_read(tmp_path: Path) -> None:
    assert read_contents(written(tmp_path, WHOLE)) == {
        "a": TensorInfo("F32", (2, 3)),
        "b": TensorInfo("F16", (5,)),
        "c": TensorInfo("I64", ()),
    }


@settings(deadline=None)
@given(st.integers(0, len(WHOLE) - 1))
def test_no_part_of_a_file_passes_for_the_whole(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    with pytest.raises(TensorFileError):
        read_contents(written(tmp_path_factory.mktemp("cut"), WHOLE[:length]))


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ([], b""),
        ({"a": 7}, b""),
        ({"a": {"dtype": "F32", "shape": [1]}}, b"1234"),
        ({"a": {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"1234"),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}, b"1234"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"12345678"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"12345678"),
        (
            {
                "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            },
            b"1234",
        ),
    ],
)
def test_a_header_that_does_not_fit_is_named(tmp_path: Path, header: object, data: bytes) -> None:
    with pytest.raises(TensorFileError, match=r"weights\.safetensors"):
        read_contents(written(tmp_path, with_header(header, data)))


def test_a_file_that_grew_is_not_whole(tmp_path: Path) -> None:
    with pytest.raises(TensorFileError, match="where its header says"):
        read_contents(written(tmp_path, WHOLE + b"\0"))
