"""The store in RocksDB: what any store does, and what outlives the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.twin_store.store.conformance import StateStoreConformance
from twin_store.store.rocks import RocksStore


class TestRocksStore(StateStoreConformance):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[RocksStore]:
        store = RocksStore(tmp_path / "deep" / "folder")
        yield store
        store.close()


def test_records_and_position_are_there_when_it_is_opened_again(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    store.apply([(b"a", b"1"), (b"b", b"2")], 42)
    store.close()
    again = RocksStore(tmp_path)
    assert (again.get(b"a"), dict(again.scan(b"b")), again.position()) == (b"1", {b"b": b"2"}, 42)
    again.close()


def test_the_position_is_no_record(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    store.apply([(b"\xfe", b"1")], 42)
    assert list(store.scan(b"\xfe")) == [(b"\xfe", b"1")]
    store.close()


def test_whoever_has_it_open_has_it_alone(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    with pytest.raises(Exception, match="lock"):
        RocksStore(tmp_path)
    store.close()


def test_a_kill_tears_no_batch_apart(tmp_path: Path) -> None:
    """The child counts in two keys and the position, all in one `apply`, until it is killed."""
    program = f"""
from pathlib import Path
from twin_store.store.rocks import RocksStore
store = RocksStore(Path({str(tmp_path)!r}))
for number in range(1, 10**9):
    store.apply([(b"a", b"%d" % number), (b"b", b"%d" % number)], number)
    if number == 200:
        print("running", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"running\n"
        child.kill()
    store = RocksStore(tmp_path)
    assert store.position() >= 200
    assert store.get(b"a") == store.get(b"b") == b"%d" % store.position()
    store.close()
