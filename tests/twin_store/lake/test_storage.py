"""Objects are created once, listed and removed, on every kind of store."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest

from twin_store.lake.storage import FileGoneError, LakeError, NameTakenError, Storage


def test_a_name_is_given_once(url: str) -> None:
    storage = Storage(url)
    storage.create("a/one.json", b"first")
    with pytest.raises(NameTakenError):
        storage.create("a/one.json", b"second")
    assert storage.read("a/one.json") == b"first"


def test_putting_the_same_again_is_no_conflict(url: str) -> None:
    """A store that repeats a put whose answer was lost finds its own object there."""
    storage = Storage(url)
    storage.create("a/one.json", b"same")
    storage.create("a/one.json", b"same")


def test_of_many_at_once_one_is_first(tmp_path: Path) -> None:
    storage, won, gate = Storage(str(tmp_path)), [], threading.Barrier(8)

    def compete(name: bytes) -> None:
        gate.wait()
        try:
            storage.create("one.json", name)
        except NameTakenError:
            return
        won.append(name)

    threads = [threading.Thread(target=compete, args=(str(n).encode(),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [storage.read("one.json")]
    assert storage.names("") == ["one.json"], "drafts are removed"


def test_names_are_relative_sorted_and_below_the_folder(url: str) -> None:
    storage = Storage(url)
    for path in ("b/2.json", "b/1.json", "c/3.json"):
        storage.create(path, path.encode())
    assert storage.names("b") == ["b/1.json", "b/2.json"]
    assert storage.names("nothing") == []
    assert storage.read_many(["b/1.json", "c/3.json"]) == {"b/1.json": b"b/1.json", "c/3.json": b"c/3.json"}


def test_tables_come_back_as_they_were_written(url: str) -> None:
    storage = Storage(url)
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    assert storage.write_table("t/x.parquet", table) > 0
    assert storage.read_table("t/x.parquet").equals(table)
    assert storage.read_table("t/x.parquet", ["b"]).column_names == ["b"]


def test_what_is_gone_is_said_to_be(url: str) -> None:
    storage = Storage(url)
    storage.delete(["never/was.parquet"])
    assert storage.read("never/was.json") is None
    with pytest.raises(LakeError, match=r"was\.json vanished"):
        storage.read_many(["never/was.json"])
    with pytest.raises(FileGoneError, match=r"was\.parquet is named in a manifest but missing"):
        storage.read_table("never/was.parquet")


def test_an_unknown_protocol_names_the_setting() -> None:
    with pytest.raises(LakeError, match="TWINS_LAKE_URL"):
        Storage("nosuch://bucket/lake")
