"""The embedded index: conformance, what survives a restart or a kill, and the graph built beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.twin_store.products.conformance import ProductIndexConformance, found, item, sold
from twin_store.products import ProductIndexError, Removal
from twin_store.products import edge as edge_module
from twin_store.products.base import CatalogChange
from twin_store.products.edge import EdgeIndex

MODEL = "test-model"


class TestEdgeIndex(ProductIndexConformance):
    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[EdgeIndex]:
        index = EdgeIndex(tmp_path / "index", MODEL)
        yield index
        index.close()


def test_everything_and_the_position_survive_a_restart(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, MODEL)
    index.apply([item("a"), item("b"), sold("b", price=100), Removal("a", 1)])
    index.checkpoint({"vectors-0": 17})
    index.close()
    again = EdgeIndex(tmp_path, MODEL)
    assert again.position == {"vectors-0": 17}
    assert found(again) == ["b"]
    again.apply([item("a", revision=1)])  # the tombstone survived too
    assert again.count() == 1
    again.close()


def test_nothing_is_recorded_before_the_first_vector(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, MODEL)
    index.apply([sold("a", price=100)])
    index.checkpoint({"products-0": 5})
    index.close()
    again = EdgeIndex(tmp_path, MODEL)
    assert again.position == {}
    again.close()


def test_an_index_of_another_model_starts_empty(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, MODEL)
    index.apply([item("a")])
    index.checkpoint({"vectors-0": 1})
    index.close()
    other = EdgeIndex(tmp_path, "another model")
    assert (other.count(), other.position) == (0, {})
    other.close()
    assert [path.name for path in tmp_path.glob("gen-*")] == []


def test_a_folder_is_open_in_one_place(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, MODEL)
    with pytest.raises(ProductIndexError, match="another process"):
        EdgeIndex(tmp_path, MODEL)
    index.close()
    EdgeIndex(tmp_path, MODEL).close()


def test_a_damaged_shard_starts_empty_at_no_position(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, MODEL)
    index.apply([item("a")])
    index.checkpoint({"vectors-0": 1})
    index.close()
    for config in tmp_path.rglob("edge_config.json"):
        config.write_text("{")
    for segment in tmp_path.rglob("segment.json"):
        segment.write_text("{")
    again = EdgeIndex(tmp_path, MODEL)
    assert (again.count(), again.position) == (0, {})
    again.apply([item("a")])
    assert found(again) == ["a"]
    again.close()


KILLED = """
import sys, numpy as np
from pathlib import Path
from tests.twin_store.products.conformance import item, sold
from twin_store.products.edge import EdgeIndex
index = EdgeIndex(Path(sys.argv[1]), "test-model")
step = index.position.get("steps", 0)
print("open", step, flush=True)
while True:
    rng = np.random.default_rng(step)
    vectors = rng.normal(size=(50, 64)).astype(np.float32)
    index.apply([item(f"p{step}-{n}", v, list_price=step) for n, v in enumerate(vectors)])
    index.apply([sold(f"p{step}-{n}", price=step + 1) for n in range(50)])
    step += 1
    if step % 3 == 0:
        index.checkpoint({"steps": step})
        print("saved", step, flush=True)
"""


def test_after_kills_the_index_holds_at_least_its_position(tmp_path: Path) -> None:
    saved = 0
    for round_number in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        assert process.stdout is not None
        for _ in range(4 + round_number):
            saved = max(saved, int(process.stdout.readline().split()[1]))
        os.kill(process.pid, signal.SIGKILL)
        saved = max([saved, *(int(line.split()[1]) for line in process.stdout)])
        process.wait()
        process.stdout.close()
        index = EdgeIndex(tmp_path, MODEL)
        assert index.position["steps"] >= saved > 0
        for step in (0, saved // 2, saved - 1):
            for number in (0, 49):
                product = index.get(f"p{step}-{number}")
                assert product is not None
                assert product.price == step + 1
        expected = {f"p{step}-{number}" for step in range(saved) for number in range(50)}
        assert index.vectors(sorted(expected)).keys() == expected
        index.close()


def many(count: int, seed: int) -> list[CatalogChange]:
    vectors = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [item(f"p{number}", vector, revision=seed) for number, vector in enumerate(vectors)]


def test_the_graph_is_built_beside_and_nothing_written_meanwhile_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_module, "BUILD_AFTER_UNINDEXED", 100)
    monkeypatch.setattr(edge_module, "BUILD_AFTER_QUIET_S", 0.0)
    index = EdgeIndex(tmp_path, MODEL)
    index.apply(many(500, seed=1))
    before = {path.name for path in tmp_path.glob("gen-*")}
    index.maintain()
    while_building = {path.name for path in tmp_path.glob("gen-*")}
    assert before < while_building
    index.apply([sold("p7", price=123), Removal("p8", 9), sold("unknown", price=5)])
    index.apply([item("p9", np.ones(16, dtype=np.float32) / 4, revision=2, text="new text")])
    deadline = time.monotonic() + 60
    while {path.name for path in tmp_path.glob("gen-*")} == while_building:
        index.maintain()
        assert time.monotonic() < deadline, "the build did not end"
        time.sleep(0.02)
    assert {path.name for path in tmp_path.glob("gen-*")} == while_building - before
    assert index.count() == 499
    seventh = index.get("p7")
    assert seventh is not None
    assert seventh.price == 123
    assert index.get("p8") is None
    assert [hit.sku for hit in index.search(np.ones(16, dtype=np.float32) / 4, 1)] == ["p9"]
    index.close()
    again = EdgeIndex(tmp_path, MODEL)
    assert again.count() == 499
    again.close()


def test_closing_ends_a_build_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_module, "BUILD_AFTER_UNINDEXED", 100)
    monkeypatch.setattr(edge_module, "BUILD_AFTER_QUIET_S", 0.0)
    index = EdgeIndex(tmp_path, MODEL)
    index.apply(many(500, seed=1))
    index.maintain()
    index.close()
    assert len(list(tmp_path.glob("gen-*"))) == 1


def test_built_in_place_it_finds_the_same(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, MODEL)
    changes = many(6_000, seed=1)
    index.apply(changes)
    scanned = [[hit.sku for hit in index.search(change.vector, 10)] for change in changes[:50]]
    index.build()
    walked = [[hit.sku for hit in index.search(change.vector, 10)] for change in changes[:50]]
    shared = sum(len(set(a) & set(b)) for a, b in zip(scanned, walked, strict=True))
    assert shared >= 0.95 * 500
    assert [hits[0] for hits in walked] == [change.sku for change in changes[:50]]
    index.close()
