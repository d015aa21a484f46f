"""The server index: conformance in the client's local mode, and on a real server where `TWINS_QDRANT_URL` names one.

The local mode takes the same requests as the wire and carries them out in this process.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence

import pytest
from qdrant_client import QdrantClient

from tests.twin_store.products.conformance import DIMENSION, ProductIndexConformance, found, item, sold
from twin_store.products import Change, ProductIndexError, Removal
from twin_store.products.payload import Payload
from twin_store.products.server import ServerIndex

# Read when the module is loaded: the tests' own environment has no TWINS_ variables.
URL = os.environ.get("TWINS_QDRANT_URL")
API_KEY = os.environ.get("TWINS_QDRANT_API_KEY")


def in_memory(client: QdrantClient | None = None, dimension: int = DIMENSION) -> ServerIndex:
    """An index in the client's local mode; two on one client share their data."""
    return ServerIndex(client or QdrantClient(":memory:"), "products", dimension, local_mode=True)


class TestLocalMode(ProductIndexConformance):
    @pytest.fixture
    def index(self) -> Iterator[ServerIndex]:
        index = in_memory()
        yield index
        index.close()


if URL:

    class TestServer(ProductIndexConformance):
        @pytest.fixture
        def index(self) -> Iterator[ServerIndex]:
            index = ServerIndex.connect(str(URL), API_KEY, f"test-{uuid.uuid4().hex[:10]}", DIMENSION)
            yield index
            index.discard()
            index.close()


class Overtaken(ServerIndex):
    """An index whose every write another writer overtakes, as long as that one has `rivals` to write."""

    def __init__(self, client: QdrantClient) -> None:
        super().__init__(client, "products", DIMENSION, local_mode=True)
        self.rivals: list[list[Change]] = []
        self._rival = in_memory(client)

    def _payloads(self, skus: Sequence[str]) -> dict[str, Payload]:
        read = super()._payloads(skus)
        if self.rivals:
            self._rival.apply(self.rivals.pop(0))
        return read


@pytest.mark.parametrize(
    "rivals",
    [
        [[item("a", revision=2, section="RIVAL")]],
        [[sold("a", revision=2, price=7)]],
        [[Removal("a", 2)], [sold("a", revision=1, price=5)]],
        [[sold("b", revision=2, price=9), item("b")], [item("a", revision=3, section="RIVAL")]],
    ],
)
def test_a_lost_race_is_run_again(rivals: list[list[Change]]) -> None:
    changes: list[Change] = [
        item("a", revision=2, section="OURS", text="ours"),
        sold("a", price=5),
        item("b"),
    ]
    in_turn = in_memory()
    overtaken = Overtaken(QdrantClient(":memory:"))
    for index in (in_turn, overtaken):
        index.apply([item("a", section="FIRST")])
    overtaken.rivals = list(rivals)
    for each in rivals:
        in_turn.apply(each)
    in_turn.apply(changes)
    overtaken.apply(changes)
    assert not overtaken.rivals
    assert [overtaken.get(sku) for sku in "ab"] == [in_turn.get(sku) for sku in "ab"]
    assert found(overtaken) == found(in_turn)


def test_whoever_loses_every_race_says_so() -> None:
    index = Overtaken(QdrantClient(":memory:"))
    index.rivals = [[sold("a", revision=number)] for number in range(100)]
    with pytest.raises(ProductIndexError, match="more than one indexer"):
        index.apply([item("a")])


def test_a_collection_of_another_dimension_is_refused() -> None:
    client = QdrantClient(":memory:")
    in_memory(client)
    with pytest.raises(ProductIndexError, match="holds vectors of length 8"):
        in_memory(client, DIMENSION + 1)


def test_a_reader_needs_a_writer_first() -> None:
    reader = ServerIndex(QdrantClient(":memory:"), "products")
    with pytest.raises(ProductIndexError, match="products"):
        reader.count()


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(ProductIndexError, match=r"127\.0\.0\.1:1.*TWINS_QDRANT_URL"):
        ServerIndex.connect("http://127.0.0.1:1", None, "products")
