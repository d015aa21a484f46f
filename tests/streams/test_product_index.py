"""An embedded index that follows its topics: what arrives, what is remembered, when it starts anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from confluent_kafka.admin import AdminClient
from qdrant_client import QdrantClient

from streams import index_feed
from streams.errors import TwinsError
from streams.kafka import Publisher, kafka_client_config, topic_name
from streams.product_index import IndexFollower, IndexReader, collection, embedded_index
from streams.product_vectors import removal_record, vector_record
from streams.settings import Settings
from streams.topic_admin import apply_topics
from streams.topics import PRODUCTS, VECTORS
from tests.streams.catalogue_feed import item, publish, revision, statistics, until
from twin_store.products import Change, ProductFilter, ProductIndexError, Removal
from twin_store.products.projection import vector_message
from twin_store.products.server import ServerIndex

pytestmark = pytest.mark.broker

UNIT = np.eye(8, dtype=np.float32)


@pytest.fixture
def deployment(settings: Settings) -> Settings:
    apply_topics(settings)
    return settings


def publish_vector(settings: Settings, sku: str, axis: int, day: int = 1, model: str | None = None) -> None:
    message = vector_message(
        item(sku, f"Item {sku}", day), f"hash {sku} {day}", model or settings.embedding_model, UNIT[axis]
    )
    with Publisher(settings) as publisher:
        publisher.publish(VECTORS, *vector_record(message))


def publish_removal(settings: Settings, sku: str, day: int) -> None:
    with Publisher(settings) as publisher:
        publisher.publish(VECTORS, *removal_record(Removal(sku, revision(day))))


@contextmanager
def reading(settings: Settings, owner: str = "planner") -> Iterator[IndexReader]:
    """A reader that has caught up."""
    reader = IndexReader(settings, owner)
    try:
        reader.catch_up()
        yield reader
    finally:
        reader.close()


def applied(reader: IndexReader) -> int:
    follower = reader._follower
    assert follower is not None
    return follower.feed.applied


def test_a_reader_follows_vectors_statistics_and_removals(deployment: Settings) -> None:
    publish(deployment, statistics("1", 1, "2.50", ["s1"]))
    publish_vector(deployment, "1", axis=0)
    publish_vector(deployment, "2", axis=1)
    reader = IndexReader(deployment, "planner")
    reader.start()
    try:
        until(lambda: [hit.sku for hit in reader.retrieval.similar_to("2", 5)] == ["1"])
        # Vectors and statistics are two topics: one may be read before the other.
        stocked = ProductFilter(stocked_at="s1")
        until(lambda: [hit.sku for hit in reader.index.search(UNIT[1], 5, stocked)] == ["1"])
        publish(deployment, statistics("1", 2, "3.50", ["s2"]), statistics("2", 3, "1.00", ["s2"]))
        in_band = ProductFilter(stocked_at="s2", price_min=300)
        until(lambda: [hit.sku for hit in reader.index.search(UNIT[1], 5, in_band)] == ["1"])
        publish_removal(deployment, "1", day=2)
        until(lambda: reader.index.count() == 1)
        publish_vector(deployment, "3", axis=2, model="another model")
        publish_vector(deployment, "4", axis=2)
        until(lambda: reader.index.get("4") is not None)
        assert reader.index.get("3") is None
    finally:
        reader.close()


def test_a_reader_resumes_from_its_own_position(deployment: Settings) -> None:
    for number in range(5):
        publish_vector(deployment, str(number), axis=number)
    with reading(deployment) as reader:
        assert applied(reader) == 5
    publish_vector(deployment, "5", axis=5)
    with reading(deployment) as reader:
        assert (applied(reader), reader.index.count()) == (1, 6)
    with reading(deployment, owner="another") as reader:
        assert (applied(reader), reader.index.count()) == (6, 6)


def test_a_reader_that_was_away_too_long_starts_anew(
    deployment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_vector(deployment, "1", axis=0)
    with reading(deployment) as reader:
        assert applied(reader) == 1
    monkeypatch.setattr(index_feed, "POSITION_VALID_S", -10)
    with reading(deployment) as reader:
        assert (applied(reader), reader.index.count()) == (1, 1)


def test_topics_made_anew_empty_the_index(deployment: Settings) -> None:
    publish_vector(deployment, "old", axis=0)
    with reading(deployment) as reader:
        assert reader.index.count() == 1
    admin = AdminClient(kafka_client_config(deployment))
    names = [topic_name(deployment, topic) for topic in (VECTORS, PRODUCTS)]
    for future in admin.delete_topics(names).values():
        future.result()
    until(lambda: not set(names) & set(admin.list_topics(timeout=10).topics))
    apply_topics(deployment)
    publish_vector(deployment, "new", axis=1)
    publish_vector(deployment, "newer", axis=2)
    with reading(deployment) as reader:
        assert reader.index.get("old") is None
        assert reader.index.count() == 2


def test_records_that_say_nothing_are_left_out(deployment: Settings) -> None:
    with Publisher(deployment) as publisher:
        publisher.publish(VECTORS, b"1", b"{")
        publisher.publish(VECTORS, b"2", None)
        publisher.publish(PRODUCTS, b"3", b"{")
        publisher.publish(PRODUCTS, b"4", None)
    publish_vector(deployment, "5", axis=0)
    with reading(deployment) as reader:
        assert reader.index.count() == 1


def test_a_feed_fills_a_server_from_the_beginning_each_time(deployment: Settings) -> None:
    publish_vector(deployment, "1", axis=0)
    publish(deployment, statistics("1", 1, "2.50", ["s1"]))
    index = ServerIndex(QdrantClient(":memory:"), collection(deployment), 8, local_mode=True)
    for changed in (True, False):
        follower = IndexFollower(deployment, index, "server")
        follower.catch_up()
        assert (follower.feed.applied > 0) == changed
        follower.close()
        product = index.get("1")
        assert product is not None
        assert product.price == 250


def test_two_processes_do_not_share_a_folder(deployment: Settings) -> None:
    index = embedded_index(deployment, "planner")
    with pytest.raises(TwinsError, match="another process"):
        IndexReader(deployment, "planner")
    index.close()


def test_missing_topics_are_told_and_nothing_stays_locked(settings: Settings) -> None:
    for _ in range(2):
        with pytest.raises(TwinsError, match="twins topics apply"):
            IndexReader(settings, "planner")


def test_a_server_that_is_not_there_is_told(offline_settings: Settings) -> None:
    away = offline_settings.model_copy(update={"qdrant_url": "http://127.0.0.1:1"})
    with pytest.raises(TwinsError, match=r"127\.0\.0\.1:1"):
        IndexReader(away, "planner")


def test_collections_are_named_by_deployment_and_model(offline_settings: Settings) -> None:
    settings = offline_settings.model_copy(
        update={"topic_prefix": "shop7.", "embedding_model": "org/model v2"}
    )
    assert collection(settings) == "shop7.products-org-model-v2"


class Failing(ServerIndex):
    """A server that is away at first."""

    failures = 2

    def apply(self, changes: Sequence[Change]) -> int:
        if self.failures:
            self.failures -= 1
            raise ProductIndexError("the server is away")
        return super().apply(changes)


def test_following_survives_an_index_that_fails_for_a_while(
    deployment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_feed, "RETRY_S", 0.01)
    publish_vector(deployment, "1", axis=0)
    index = Failing(QdrantClient(":memory:"), "products", 8, local_mode=True)
    follower = IndexFollower(deployment, index, "server")
    follower.start()
    try:
        until(follower.ready.is_set)
        assert (index.failures, index.count()) == (0, 1)
    finally:
        follower.close()
